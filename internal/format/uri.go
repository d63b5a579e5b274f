package format

import "net/url"

// fileURI names a file to SQLite, whatever letters are in its path.
func fileURI(path, query string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query}).String()
}
