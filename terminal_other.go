//go:build !windows

package main

import "os"

// enableTerminal reports whether the terminal understands escape sequences.
func enableTerminal(*os.File) bool { return true }

// systemLanguages are the ones that the system is set to, where the environment does not say.
func systemLanguages() []string { return nil }
