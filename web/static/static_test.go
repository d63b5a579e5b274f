package static

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func files(t *testing.T) *Files {
	t.Helper()
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func get(f *Files, url string, header ...string) *http.Response {
	r := httptest.NewRequest("GET", url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func TestURLNamesTheContent(t *testing.T) {
	f := files(t)
	for _, s := range sources {
		url := f.URL(s.name)
		stem, ext, _ := strings.Cut(s.name, ".")
		if !regexp.MustCompile(`^/static/` + stem + `\.[0-9a-f]{12}\.` + ext + `$`).MatchString(url) {
			t.Errorf("got %s, want a fingerprint in the name of %s", url, s.name)
		}
		other, err := newFile(s.name, s.mime, append(bytes.Clone(f.Content(s.name)), '\n'))
		if err != nil {
			t.Fatal(err)
		}
		if other.url == url {
			t.Errorf("got %s for another content too, want another URL", url)
		}
	}
}

func TestServe(t *testing.T) {
	f := files(t)
	for _, s := range sources {
		res := get(f, f.URL(s.name))
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || !bytes.Equal(body, f.Content(s.name)) {
			t.Errorf("%s: got %d and %d bytes, want 200 and %d", s.name, res.StatusCode, len(body), len(f.Content(s.name)))
		}
		for name, want := range map[string]string{
			"Content-Type": s.mime, "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", s.name, name, got, want)
			}
		}
		if again := get(f, f.URL(s.name), "If-None-Match", res.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: got %d for the same ETag, want 304", s.name, again.StatusCode)
		}
	}
}

func TestServeCompressed(t *testing.T) {
	f := files(t)
	tests := []struct {
		accept string
		want   string
	}{
		{"", ""}, {"gzip", "gzip"}, {"br, gzip;q=0.8", "gzip"}, {"gzip;q=0", ""}, {"gzip; q=0.000", ""}, {"br", ""}, {"xgzip", ""},
	}
	for _, tt := range tests {
		res := get(f, f.URL("style.css"), "Accept-Encoding", tt.accept)
		if got := res.Header.Get("Content-Encoding"); got != tt.want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", tt.accept, got, tt.want)
			continue
		}
		if tt.want != "gzip" {
			continue
		}
		r, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(body, f.Content("style.css")) {
			t.Errorf("Accept-Encoding %q: got %d bytes and %v, want the stylesheet", tt.accept, len(body), err)
		}
	}
}

func TestUnknownPathIsNotFound(t *testing.T) {
	f := files(t)
	for _, path := range []string{"/static/", "/static/style.css", "/static/style.000000000000.css", "/static/../static.go", "/static/style/tokens.css"} {
		if res := get(f, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, res.StatusCode)
		}
	}
}

// TestSmallAndSelfContained holds that pages load nothing from elsewhere, and
// that the script stays the few kilobytes that it is meant to be.
func TestSmallAndSelfContained(t *testing.T) {
	f := files(t)
	if got := len(f.Content("app.js")); got > 8<<10 {
		t.Errorf("got a script of %d bytes, want at most 8 KiB", got)
	}
	for _, s := range sources {
		elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]|@import|url\([^#)]`)
		content := strings.ReplaceAll(string(f.Content(s.name)), "http://www.w3.org/2000/svg", "")
		if got := elsewhere.FindString(content); got != "" {
			t.Errorf("%s: got %q, want nothing from elsewhere", s.name, got)
		}
	}
	if css := string(f.Content("style.css")); strings.Count(css, "{") != strings.Count(css, "}") {
		t.Errorf("got %d opening and %d closing braces in the stylesheet, want as many", strings.Count(css, "{"), strings.Count(css, "}"))
	}
}
