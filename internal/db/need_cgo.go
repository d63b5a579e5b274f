//go:build !cgo

package db

// The SQLite driver is C: it needs CGO_ENABLED=1 and a C compiler such as gcc.
var _ = build_with__CGO_ENABLED_1_and_a_C_compiler__or_make_build
