//go:build cgo && !sqlite_fts5

package db

// Text search needs FTS5, which the SQLite driver compiles in only with a build
// tag. Without it every database would fail at run time, so the build fails now.
var _ = build_with__go_build_dash_tags_sqlite_fts5__or_make_build
