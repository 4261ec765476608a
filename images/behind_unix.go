//go:build unix

package images

import (
	"os/exec"
	"syscall"
)

// runBehind runs a command, and what it starts, with less of a claim to the processor than others have: it runs beside the start of a cluster,
// which somebody waits for. 10 is what the command nice takes.
func runBehind(command *exec.Cmd) error {
	if err := command.Start(); err != nil {
		return err
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, command.Process.Pid, 10) // it only gets done sooner where that fails
	return command.Wait()
}
