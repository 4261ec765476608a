# report.awk passes on what `go test -v` prints. At the end it says once more how long each test and each of its parts took,
# and what those said that failed: it is far above by then, and a log that is cut keeps its end.
{ print; fflush() }
/^=== (RUN|CONT|NAME) / { part = $3; next }
/^(    )?--- / { took[++tests] = $0 }
/^ *--- FAIL: / { failed[++failures] = $3; next }
{ said[part] = said[part] $0 "\n" }
END {
	for (i = 1; i <= tests; i++) print took[i]
	for (i = 1; i <= failures; i++) printf "\n%s failed:\n%s", failed[i], said[failed[i]]
}
