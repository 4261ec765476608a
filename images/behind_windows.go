package images

import (
	"os/exec"
	"syscall"
)

// belowNormal is BELOW_NORMAL_PRIORITY_CLASS:
// https://learn.microsoft.com/en-us/windows/win32/procthread/process-creation-flags
const belowNormal = 0x4000

// runBehind runs a command, and what it starts, with less of a claim to the processor than others have: it runs beside the start of a cluster,
// which somebody waits for.
func runBehind(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{CreationFlags: belowNormal}
	return command.Run()
}
