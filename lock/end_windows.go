package lock

import "github.com/hellolab/hellolab/messages"

// end is the command that ends a process.
func end(pid string) messages.Command { return messages.Shell("taskkill", "/F", "/PID", pid) }
