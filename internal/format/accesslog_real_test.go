package format

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

// inScope says which findings answer an alert of CrowdSec's tests, for the
// alerts that follow from an access log alone. The first entry whose expression
// matches the scenario decides.
var inScope = []struct {
	scenario   string
	categories []string
	out        string // not in scope, and why
}{
	{`http-generic-test`, nil, "a word by which CrowdSec tests itself"},
	{`magento|kasm|modsecurity|crs-|sympa|appsec|litespeed|gitea|grafana-bf|home-assistant|odoo|baikal|bitwarden`, nil, "a log of an application, not of a web server"},
	{`bf|CVE-2022-41697`, []string{audit.CategoryBurst, audit.CategoryExploit}, ""},
	{`http-probing`, []string{audit.CategoryBurst}, ""},
	{`bad-user-agent`, []string{audit.CategoryAgent}, ""},
	{`sensitive-files|wpconfig|technology-probing`, []string{audit.CategoryScan, audit.CategoryExploit}, ""},
	{`open-proxy`, []string{audit.CategoryScan}, ""},
	{`path-traversal`, []string{audit.CategoryTraversal, audit.CategoryInjection}, ""},
	{`.`, []string{audit.CategoryExploit, audit.CategoryInjection, audit.CategoryTraversal}, ""},
}

var zoraxy = regexp.MustCompile(`^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) .*\[client: (\S+)\] \[useragent: (.*?)\] (\S+) (\S+) (\d{3})$`)

// requestOf reads a line of a test: of an access log, of Traefik's JSON or of
// Zoraxy. The latter two are no formats of import; the detector is the same.
func requestOf(line string) (audit.Request, bool) {
	if m := zoraxy.FindStringSubmatch(line); m != nil {
		at, _ := time.Parse("2006/01/02 15:04:05", m[1])
		address, _ := netip.ParseAddr(m[2])
		return audit.Request{Time: at, Address: address, UserAgent: m[3], Method: m[4], Target: m[5], Status: atoi(m[6])}, true
	}
	if strings.HasPrefix(line, "{") {
		var t struct {
			ClientHost, RequestMethod, RequestPath, RequestHost string
			StartUTC                                            time.Time
			DownstreamStatus                                    int
			Agent                                               string `json:"request_User-Agent"`
		}
		if json.Unmarshal([]byte(line), &t) != nil || t.RequestPath == "" {
			return audit.Request{}, false
		}
		address, _ := netip.ParseAddr(t.ClientHost)
		return audit.Request{Time: t.StartUTC, Address: address, UserAgent: t.Agent, Method: t.RequestMethod, Target: t.RequestPath, Host: t.RequestHost, Status: t.DownstreamStatus}, true
	}
	l, err := parseAccessLine(visible(line), time.UTC)
	if err != nil {
		return audit.Request{}, false
	}
	return l.Request, true
}

func TestRecallOfAttacks(t *testing.T) {
	dir := need.Shared(t, "data/crowdsec-hub")
	file, err := os.Open(filepath.Join(dir, "expected-alerts.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	expected, missed := 0, 0
	outside := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var alert struct {
			Test, Scenario string
			Sources        []string
			Meta           []map[string]string `json:"event_meta"`
		}
		if err := json.Unmarshal(lines.Bytes(), &alert); err != nil {
			continue // a few carry numbers among the texts, none of them of HTTP
		}
		if !slices.ContainsFunc(alert.Meta, func(m map[string]string) bool { return m["log_type"] == "http_access-log" }) {
			outside["not of an access log"]++
			continue
		}
		rule := inScope[slices.IndexFunc(inScope, func(s struct {
			scenario   string
			categories []string
			out        string
		}) bool {
			return regexp.MustCompile(s.scenario).MatchString(alert.Scenario)
		})]
		if rule.out != "" {
			outside[rule.out+": "+alert.Scenario]++
			continue
		}
		found := findingsOf(t, dir, alert.Test)
		expected++
		if !slices.ContainsFunc(found, func(f foundIn) bool {
			return slices.ContainsFunc(alert.Sources, func(s string) bool {
				a, _ := netip.ParseAddr(s)
				return a == f.address
			}) && slices.ContainsFunc(alert.Meta, func(m map[string]string) bool {
				if at, err := time.Parse(time.RFC3339Nano, m["timestamp"]); err == nil {
					return at.Unix() == f.at.Unix()
				}
				path, _, _ := strings.Cut(f.target, "?")
				return path == m["http_path"] || f.target == m["http_path"] || f.Rule.Category == audit.CategoryBurst
			}) && slices.Contains(rule.categories, f.Rule.Category)
		}) {
			missed++
			t.Logf("missed: %s in %s by %s", alert.Scenario, alert.Test, alert.Sources)
		}
	}
	for why, n := range outside {
		t.Logf("%d not in scope: %s", n, why)
	}
	t.Logf("recall: %d of %d", expected-missed, expected)
	if expected != 58 || missed > 0 {
		t.Errorf("recall: got %d of %d, want 58 of 58", expected-missed, expected)
	}
}

type foundIn struct {
	audit.Finding
	address netip.Addr
	at      time.Time
	target  string
}

// findingsOf inspects the log of a test, with a detector of its own.
func findingsOf(t *testing.T, dir, test string) []foundIn {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "logs", test+".log"))
	if len(paths) == 0 {
		paths, _ = filepath.Glob(filepath.Join(dir, "logs", test+"__*.log"))
	}
	if len(paths) == 0 {
		t.Errorf("no log of %s", test)
		return nil
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	detector, err := audit.NewDetector(audit.DetectorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []foundIn
	for line := range strings.Lines(string(text)) {
		if q, ok := requestOf(strings.TrimSpace(line)); ok {
			for _, f := range detector.Inspect(&q) {
				all = append(all, foundIn{f, q.Address, q.Time, q.Target})
			}
		}
	}
	return all
}

// probe is what is asked of a site that has neither WordPress nor Joomla by
// somebody who looks for one. All of the findings in the ordinary log, read by
// hand, are these.
var probe = regexp.MustCompile(`^GET (?:/|/wp/|/wordpress/|/blog/)(?:wp-admin/|wp-login\.php(?:\?action=register)?|administrator/(?:index\.php)?) 404$`)

func TestFalsePositivesOnOrdinaryTraffic(t *testing.T) {
	path := need.Shared(t, "data/elastic-examples/apache-access-1.log.gz")
	in, err := openInput(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	detector, err := audit.NewDetector(audit.DetectorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	requests, probes, wrong := 0, 0, 0
	err = eachLine(in.reader, maxLine, func(number int64, line []byte, _ error) error {
		l, err := parseAccessLine(string(line), time.UTC)
		if err != nil {
			t.Errorf("line %d: %v", number, err)
			return nil
		}
		requests++
		for _, f := range detector.Inspect(&l.Request) {
			if what := fmt.Sprintf("%s %s %d", l.Method, l.Target, l.Status); probe.MatchString(what) {
				probes++
			} else {
				wrong++
				t.Logf("line %d: %s by %q in %s", number, f.Rule.Name, f.Matched, what)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests: %d probes found, %d false findings", requests, probes, wrong)
	if requests != 5000 || probes != 24 || wrong > 0 {
		t.Errorf("got %d probes and %d false findings in %d requests, want 24 and 0 in 5000", probes, wrong, requests)
	}
}
