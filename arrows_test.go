package auditadmin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/auditadmin/auditadmin"

// arrows says which packages of ours each package may import: they point one
// way only, so that every part can be read and tested without the ones above
// it. A package that is not in the table has no place in the house.
var arrows = map[string]string{
	".":                 "", // schema.sql
	"audit":             "internal/fold",
	"audit/auditdb":     ". audit internal/db",
	"audit/geo":         "audit",
	"audit/gormaudit":   "audit",
	"audit/sqltrack":    "audit",
	"internal/fold":     "",
	"internal/query":    "audit",
	"internal/diff":     "audit",
	"internal/demo":     "audit",
	"internal/evidence": "",
	"internal/segment":  "internal/query",
	"internal/trigram":  "",
	"internal/db":       "audit internal/query internal/segment internal/trigram internal/evidence",
	"internal/authz":    "audit internal/query internal/db",
	"internal/format":   "audit internal/fold internal/query internal/evidence internal/db",
	"web/templates":     "",
	"web/static":        "",
	"internal/handlers": "audit internal/query internal/diff internal/evidence internal/db internal/authz internal/format web/templates web/static",
	"cmd/auditadmin":    ". audit audit/auditdb audit/geo audit/sqltrack internal/query internal/demo internal/evidence internal/db internal/authz internal/format internal/handlers",
	"internal/bench":    ". audit internal/query internal/demo internal/db internal/handlers",
	"internal/need":     "",
	"internal/pgtest":   "internal/need",
	"internal/sqllint":  "audit",
	"internal/torture":  "",
	"examples/shop":     "audit audit/auditdb audit/gormaudit",
}

// onlyStandard are the packages that may import nothing but the standard
// library and what the arrows allow: an application takes audit into itself.
var onlyStandard = map[string]bool{"audit": true, "internal/fold": true, "internal/demo": true, "internal/need": true}

func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := ours(pkg.ImportPath)
		list, known := arrows[name]
		if !known {
			t.Errorf("%s has no place in the house: add it to the table of arrows, and to the README", name)
			continue
		}
		allowed := map[string]bool{}
		for _, to := range strings.Fields(list) {
			allowed[to] = true
		}
		for _, imported := range pkg.Imports {
			switch to := ours(imported); {
			case to != "" && !allowed[to]:
				t.Errorf("%s imports %s; it may import: %s", name, to, list)
			case to == "" && onlyStandard[name] && strings.Contains(strings.Split(imported, "/")[0], "."):
				t.Errorf("%s imports %s; it may import nothing outside the standard library", name, imported)
			}
		}
	}
}

// ours returns the place of a package of this module in the tree, "." for its
// root, and "" for a package of somebody else.
func ours(importPath string) string {
	if importPath == module {
		return "."
	}
	if rest, ok := strings.CutPrefix(importPath, module+"/"); ok {
		return path.Clean(rest)
	}
	return ""
}
