package query

import "github.com/auditadmin/auditadmin/audit"

// Completion is being built.
type Completion struct{}

func Complete(kind audit.Kind, q string, cursor int) Completion { return Completion{} }
