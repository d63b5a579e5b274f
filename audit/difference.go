package audit

// Diff returns the fields that differ between two states of an object.
func Diff(before, after any) Changes { return nil }
