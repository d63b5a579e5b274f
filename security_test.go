package auditadmin_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityMap keeps docs/security.md true: every threat and every fault has
// its row, every test it names exists where it says, and no test is called after
// one that there is not.
func TestSecurityMap(t *testing.T) {
	content, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	all := tests(t)
	place := regexp.MustCompile("`([^`]+)`|((?:Test|Fuzz)\\w+)")
	rows := map[string]string{}
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !regexp.MustCompile(`^\| [TR]\d+$`).MatchString(cells[0]) {
			continue
		}
		id, named := strings.TrimPrefix(cells[0], "| "), cells[3]
		rows[id] += named
		dir, count := "", 0
		for _, found := range place.FindAllStringSubmatch(named, -1) {
			if found[1] != "" {
				dir = found[1]
				continue
			}
			count++
			if _, there := all[dir+" "+found[2]]; !there {
				t.Errorf("%s names %s of %s, which there is not", id, found[2], dir)
			}
		}
		if count == 0 && !strings.Contains(cells[2], "not in this version") {
			t.Errorf("%s has no test", id)
		}
	}
	for prefix, last := range map[string]int{"T": 22, "R": 20} {
		for i := range last {
			if id := fmt.Sprint(prefix, i+1); rows[id] == "" {
				t.Errorf("docs/security.md has no row for %s", id)
			}
		}
	}
	numbered := regexp.MustCompile(` Test([TR])0?(\d+)(?:_|[A-Z])`)
	for name := range all {
		if found := numbered.FindStringSubmatch(name); found != nil && rows[found[1]+found[2]] == "" {
			t.Errorf("%s is called after a threat or a fault that docs/security.md does not have", name)
		}
	}
}
