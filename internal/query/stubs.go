package query

import "github.com/auditadmin/auditadmin/audit"

func (e *SyntaxError) message() string { return e.Message }

// Parse is being built; see the API notes.
func Parse(kind audit.Kind, q string, o Options) (*Filter, error) { return &Filter{Kind: kind}, nil }
