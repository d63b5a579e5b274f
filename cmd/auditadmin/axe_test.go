package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// axe looks for what keeps people out, with axe-core, on every sort of page in
// both themes. The library comes from the npm registry; where that cannot be
// reached the check is left out, also in CI, since somebody else's network is no
// reason to hold up a change.
func axe(b *browser, s site) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		b.Skip("npm is missing, which fetches axe-core: apt-get install npm")
	}
	folder := b.TempDir()
	install := exec.CommandContext(b.ctx, npm, "install", "--no-audit", "--no-fund", "--prefix", folder, "axe-core@4.14.1")
	if out, err := install.CombinedOutput(); err != nil {
		b.Skipf("axe-core cannot be fetched: %v: %s", err, out)
	}
	script, err := os.ReadFile(filepath.Join(folder, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		b.Fatal(err)
	}
	b.signIn(s.superuser, s.password)
	call(b, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}) // for axe itself; the pages' policy is tried elsewhere
	look := func(where string) {
		b.Helper()
		eval[any](b, string(script)+"; 0")
		found := eval[[]string](b, `axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}).then(r =>
			r.violations.map(v => v.id + " (" + v.impact + "): " + v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(", ")))`, chromedp.EvalAwaitPromise)
		if len(found) > 0 {
			b.Errorf("%s:\n  %s", where, strings.Join(found, "\n  "))
		}
	}
	all := pages(b)
	for _, theme := range []string{"light", "dark"} {
		b.open("/?theme=" + theme)
		for _, path := range all {
			b.open(path)
			look(path + " in the " + theme + " theme")
		}
	}
	// What is cut off of a long text must not lie over the links beside and below it.
	b.do(chromedp.EmulateViewport(1265, 900))
	for _, list := range []string{"/audit-logs", "/login-attempts", "/data-exports", "/system-events"} {
		b.open(list)
		eval[any](b, lengthen)
		look(list + " with long texts")
	}
}
