// Package static holds the files that pages load: one stylesheet, one script and
// one icon. They are part of the program, and their URLs contain a fingerprint
// of their content, so that a browser may keep them for ever.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed style/*.css app.js favicon.svg
var embedded embed.FS

// Prefix is the path below which Files serves.
const Prefix = "/static/"

// sources are the files that a browser can ask for, and what each is made of.
// The layers of the stylesheet are joined in this order.
var sources = []struct {
	name  string
	mime  string
	parts []string
}{
	{"style.css", "text/css; charset=utf-8", []string{
		"style/tokens.css", "style/base.css", "style/frame.css", "style/parts.css", "style/table.css",
		"style/list.css", "style/event.css", "style/pages.css", "style/narrow.css", "style/print.css",
	}},
	{"app.js", "text/javascript; charset=utf-8", []string{"app.js"}},
	{"favicon.svg", "image/svg+xml", []string{"favicon.svg"}},
}

// Files serves the static files. It is safe for concurrent use.
type Files struct {
	byURL  map[string]*file
	byName map[string]*file
}

type file struct {
	url     string
	name    string
	mime    string
	etag    string
	content []byte
	gzipped []byte
}

// New reads and fingerprints the embedded files. It fails only if the program
// was built wrongly.
func New() (*Files, error) {
	fs := &Files{byURL: map[string]*file{}, byName: map[string]*file{}}
	for _, s := range sources {
		var content bytes.Buffer
		for _, part := range s.parts {
			b, err := embedded.ReadFile(part)
			if err != nil {
				return nil, fmt.Errorf("static.New: %w", err)
			}
			content.Write(b)
		}
		f, err := newFile(s.name, s.mime, content.Bytes())
		if err != nil {
			return nil, fmt.Errorf("static.New: %s: %w", s.name, err)
		}
		fs.byURL[f.url], fs.byName[f.name] = f, f
	}
	return fs, nil
}

func newFile(name, mime string, content []byte) (*file, error) {
	sum := sha256.Sum256(content)
	mark := hex.EncodeToString(sum[:6])
	ext := path.Ext(name)
	var gz bytes.Buffer
	w, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &file{
		url:     Prefix + strings.TrimSuffix(name, ext) + "." + mark + ext,
		name:    name,
		mime:    mime,
		etag:    mark,
		content: content,
		gzipped: gz.Bytes(),
	}, nil
}

// URL returns the path of a file, with its fingerprint: "/static/app.1f3a….js".
// It panics if there is no such file, which is a mistake in the program.
func (fs *Files) URL(name string) string {
	f, ok := fs.byName[name]
	if !ok {
		panic("static: no file named " + name)
	}
	return f.url
}

// Content returns the bytes of a file, or nil if there is none of that name. The
// caller must not change them.
func (fs *Files) Content(name string) []byte {
	if f, ok := fs.byName[name]; ok {
		return f.content
	}
	return nil
}

// ServeHTTP answers GET and HEAD of the paths that URL returns, and 404 for
// every other path: a fingerprint of another version is another file.
func (fs *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := fs.byURL[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mime)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	content, etag := f.content, f.etag
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		content, etag = f.gzipped, etag+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether a browser takes gzip. One that says so with a
// weight of zero gets the plain file, as does one that says nothing.
func acceptsGzip(header string) bool {
	for _, part := range strings.Split(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" {
			q := strings.ReplaceAll(weight, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
