// Package auditadmin holds what cannot live deeper in the tree: go:embed does
// not climb, so the schema that a person reads at the root is embedded here and
// handed to internal/db by whoever opens a database.
package auditadmin

import _ "embed"

// Schema is schema.sql, the SQLite schema that creates every fresh database.
//
//go:embed schema.sql
var Schema string
