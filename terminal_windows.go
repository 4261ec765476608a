package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// enableTerminal switches escape sequences on, which a Windows console does not understand by itself, and reports
// whether it does now.
func enableTerminal(file *os.File) bool {
	handle := windows.Handle(file.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(handle, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}

// systemLanguages are the ones that the user's Windows is set to.
func systemLanguages() []string {
	names, err := windows.GetUserPreferredUILanguages(windows.MUI_LANGUAGE_NAME)
	if err != nil {
		return nil
	}
	return names
}
