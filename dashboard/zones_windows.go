package dashboard

import _ "time/tzdata" // the time zones of CronJobs, which Windows does not have as Go reads them
