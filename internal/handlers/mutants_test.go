package handlers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// openPlaces are the files through which values reach a page as they are. The
// other templates escape too, but write nothing but words of the program, numbers
// and addresses that are encoded already; they are tried for the log.
var openPlaces = map[string]bool{"render.go": true, "layout_templ.go": true, "login_templ.go": true, "parts_templ.go": true, "accounts_templ.go": true}

// TestT1_WithoutEscaping builds the program once for each template with the
// escaping of that one taken out, and runs the matrix of payloads on it, which
// has to fail wherever values reach a page: or it would not notice a template
// that forgets to escape. It takes minutes.
func TestT1_WithoutEscaping(t *testing.T) {
	if !long {
		t.Skip("set AUDITADMIN_TORTURE to build the program without escaping, once for each template")
	}
	root := need.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "web", "templates", "*_templ.go"))
	if err != nil || len(files) < 10 {
		t.Fatalf("got %d templates, %v", len(files), err)
	}
	files = append(files, filepath.Join(root, "web", "templates", "render.go"))
	mutants := 0
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		mutant := strings.ReplaceAll(string(content), "templ.EscapeString(", "string(")
		if mutant == string(content) || filepath.Base(file) == "icons_templ.go" {
			continue
		}
		if openPlaces[filepath.Base(file)] {
			mutants++
		}
		dir := t.TempDir()
		changed, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
		replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{changed: []byte(mutant), overlay: replace} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run := exec.CommandContext(t.Context(), "go", "test", "-tags", "sqlite_fts5", "-count=1", "-overlay", overlay, "-run", "^TestT1_XSSMatrix$", "./internal/handlers")
		run.Dir = root
		run.Env = append(os.Environ(), "AUDITADMIN_TORTURE=")
		out, err := run.CombinedOutput()
		switch {
		case err == nil && openPlaces[filepath.Base(file)]:
			t.Errorf("%s without escaping: the matrix notices nothing", filepath.Base(file))
		case err == nil:
			t.Logf("%s without escaping: no value comes through it", filepath.Base(file))
		case !strings.Contains(string(out), "--- FAIL: TestT1_XSSMatrix"):
			t.Errorf("%s without escaping: %v: %.500s", filepath.Base(file), err, out)
		default:
			t.Logf("%s without escaping: noticed", filepath.Base(file))
		}
	}
	if mutants != len(openPlaces) {
		t.Errorf("tried %d of the places through which values come, want %d", mutants, len(openPlaces))
	}
}
