package kube

// isReadOnly is false: Windows reports a permission that is missing.
func isReadOnly(error) bool { return false }
