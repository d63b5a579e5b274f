package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/auditadmin/auditadmin/internal/need"
)

// site is a demo that is being served, at every address of this machine.
type site struct {
	port                string
	superuser, password string
	viewer, viewerPass  string
}

// serveDemo runs the program as `auditadmin demo` and reads how to sign in.
func serveDemo(t *testing.T) site {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	said, tell := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--addr", "0.0.0.0:0", "--events", "3000"}, nil, nil, tell, t.Output())
		tell.Close()
	}()
	t.Cleanup(func() {
		stop()
		if got := <-code; got != exitDone {
			t.Errorf("the demo ended with code %d", got)
		}
	})
	var s site
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 2 && words[0] == "Open":
			u, err := url.Parse(words[1])
			if err != nil {
				t.Fatal(err)
			}
			s.port = u.Port()
		case len(words) == 5 && words[4] == "(superuser)":
			s.superuser, s.password = words[2], words[3]
		case len(words) == 5 && words[4] == "(viewer)":
			s.viewer, s.viewerPass = words[2], words[3]
		case len(words) > 0 && words[0] == "Stop":
			return s
		}
	}
	t.Fatal("the demo ended before it said how to sign in")
	return s
}

// browser is one window of a headless Chromium, and what it complained about.
type browser struct {
	*testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

// newBrowser opens a window of its own, without cookies, for one address.
func newBrowser(t *testing.T, base string) *browser {
	t.Helper()
	chromium := need.Program(t, "install it, for example with: apt-get install chromium", "chromium", "chromium-browser", "google-chrome")
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true))...)
	window, closeWindow := chromedp.NewContext(allocator)
	b := &browser{T: t, base: base}
	// The first call starts the browser, which must outlive the time limit of
	// what is done with it.
	if err := chromedp.Listen(window, b.hear); err != nil {
		t.Fatalf("start %s: %v", chromium, err)
	}
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(window, 3*time.Minute)
	t.Cleanup(func() { cancel(); closeWindow(); closeAllocator() })
	call(b, audits.Enable, cdp.Empty{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// hear notes what the browser complains about.
func (b *browser) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.complain("exception: " + e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		switch {
		case e.Entry.Source == log.EntrySourceNetwork: // an answer of 4xx is an answer
		case e.Entry.Level != log.EntryLevelWarning && e.Entry.Level != log.EntryLevelError:
		case strings.Contains(e.Entry.Text, "Cross-Origin-Opener-Policy header has been ignored"), // as they are over plain http
			strings.Contains(e.Entry.Text, "Clear-Site-Data header on 'http://"):
		default:
			b.complain("console: " + e.Entry.Text)
		}
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			b.complain("content security policy: " + e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective)
		}
	}
}

// call gives the browser a command of its protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.Fatal(err)
	}
}

func (b *browser) complain(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, what)
}

// calm fails the test if the browser complained.
func (b *browser) calm() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.Error("the browser complained: " + c)
	}
}

func (b *browser) do(all ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	for _, one := range all {
		b.check(again(func() error { return chromedp.Do(b.ctx, one) }))
	}
}

// again repeats what failed because a page that had just come replaced what was
// found in it.
func again(try func() error) error {
	err := try()
	for n := 0; n < 3 && err != nil && strings.Contains(err.Error(), "No node with given id"); n++ {
		err = try()
	}
	return err
}

// check ends the test if something could not be done, saying where.
func (b *browser) check(err error) {
	b.Helper()
	if err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		b.Fatalf("at %s: %v\n%s", where, err, debug.Stack())
	}
}

// goes does things, the last of which leads to another page, and returns that page's status.
func (b *browser) goes(all ...chromedp.Action[chromedp.Void]) int {
	b.Helper()
	if len(all) > 1 {
		b.do(all[:len(all)-1]...)
	}
	var status int
	b.check(again(func() error {
		answer, err := chromedp.RunResponse(b.ctx, all[len(all)-1])
		if err == nil {
			status = int(answer.Status)
		}
		return err
	}))
	return status
}

func (b *browser) open(path string) int {
	b.Helper()
	return b.goes(chromedp.Navigate(b.base + path))
}

// click follows the first link, or presses the first button, that matches.
func (b *browser) click(selector string) int {
	b.Helper()
	return b.goes(chromedp.Click(chromedp.CSS(selector)))
}

// text returns what is to be read of the first element that matches.
func (b *browser) text(selector string) string {
	b.Helper()
	var s string
	b.check(again(func() (err error) {
		s, err = chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
		return err
	}))
	return s
}

// where returns the path and the query of the page.
func (b *browser) where() (path, q string) {
	b.Helper()
	location, err := chromedp.Run(b.ctx, chromedp.Location())
	b.check(err)
	u, err := url.Parse(location)
	b.check(err)
	return u.Path, u.Query().Get("q")
}

// eval returns the value of an expression in the page.
func eval[T any](b *browser, expression string, options ...chromedp.EvaluateOption) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, options...))
	b.check(err)
	return v
}

func (b *browser) wants(what string, got, want any) {
	b.Helper()
	if got != want {
		b.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (b *browser) signIn(name, password string) {
	b.Helper()
	b.open("/login")
	b.goes(
		chromedp.SendKeys(chromedp.CSS("#username"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), password+kb.Enter),
	)
}

// firstRow is the link of the newest event of a list.
const firstRow = ".rows tbody tr:not(.day) .what > a"

// TestBrowser does in a real browser what people come for, at the loopback
// address, at the machine's own one over plain http, and without JavaScript.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a browser")
	}
	s := serveDemo(t)
	loopback := "http://127.0.0.1:" + s.port
	own := "http://" + net.JoinHostPort(ownAddress(t), s.port)
	for _, test := range []struct {
		name, base string
		script     bool
	}{
		{"loopback", loopback, true},
		{"own address", own, true},
		{"without JavaScript", loopback, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBrowser(t, test.base)
			call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !test.script})
			mainPath(b, s)
			viewerPath(b, s)
			b.calm()
		})
	}
	t.Run("keyboard", func(t *testing.T) { keyboard(newBrowser(t, loopback), s) })
	t.Run("narrow", func(t *testing.T) { narrow(newBrowser(t, loopback), s) })
	t.Run("laptop", func(t *testing.T) { laptop(newBrowser(t, loopback), s) })
	t.Run("selecting", func(t *testing.T) { selecting(newBrowser(t, loopback), s) })
	t.Run("axe", func(t *testing.T) { axe(newBrowser(t, loopback), s) })
}

// mainPath is what a superuser does: sign in, find, read, resolve, delete.
func mainPath(b *browser, s site) {
	b.Helper()
	b.signIn(s.superuser, "not the password")
	if said := b.text("[role=alert]"); said == "" {
		b.Error("a wrong password: nothing is said about it")
	}
	b.signIn(s.superuser, s.password)
	path, _ := b.where()
	b.wants("after signing in", path, "/")

	b.open("/audit-logs")
	b.goes(chromedp.SendKeys(chromedp.CSS("#q"), "action:DELETE"+kb.Enter))
	path, q := b.where()
	b.wants("after a search", path+" "+q, "/audit-logs action:DELETE")
	b.wants("the filter as a sentence", b.text("h1"), "Deletions")

	b.click(".chips .chip a")
	_, q = b.where()
	b.wants("after removing the chip", q, "")

	b.click("#facet-action ~ ul a[href*=UPDATE]")
	_, q = b.where()
	b.wants("after a click in a facet", q, "action:UPDATE")

	b.open("/audit-logs?q=" + url.QueryEscape(`action:UPDATE repr:"Cast-iron casserole 28 cm" reason:"Spring promotion"`))
	b.click(firstRow)
	diff := b.text("table.diff")
	for _, part := range []string{"price", "189.00", "18.90", "on_sale"} {
		if !strings.Contains(diff, part) {
			b.Errorf("the diff does not show %q: %s", part, diff)
		}
	}

	b.open("/system-events?q=is%3Aunresolved")
	b.click(firstRow)
	event, _ := b.where()
	note := "Restarted, and the disk was full " + regexp.MustCompile(`\W`).ReplaceAllString(b.Name(), " ")
	b.do(chromedp.SendKeys(chromedp.CSS("#note"), note))
	b.click(`form[action$="/resolve"] button`)
	path, _ = b.where()
	b.wants("after resolving", path, event)
	if page := b.text("#content"); !strings.Contains(page, note) {
		b.Errorf("the resolved event does not show its note: %s", page)
	}

	b.open("/audit-logs?q=action%3AVIEW")
	b.click(firstRow)
	event, _ = b.where()
	b.do(chromedp.Click(chromedp.CSS(`details:has(form[action$="/delete"]) summary`)),
		chromedp.SendKeys(chromedp.CSS(`form[action$="/delete"] [name=reason]`), "Entered twice by the importer"))
	b.click(`form[action$="/delete"] button`)
	b.open(event)
	if page := b.text("body"); !strings.Contains(page, "Entered twice by the importer") || !strings.Contains(page, s.superuser) {
		b.Errorf("a deleted event's page does not say by whom and why: %s", page)
	}
}

// viewerPath is what a viewer may not do.
func viewerPath(b *browser, s site) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS("header .menu:last-of-type summary")))
	b.click(`form[action="/logout"] button`)
	b.open("/audit-logs")
	path, _ := b.where()
	b.wants("signed out", path, "/login")

	b.signIn(s.viewer, s.viewerPass)
	b.open("/audit-logs?q=action%3AVIEW")
	b.click(firstRow)
	event, _ := b.where()
	b.wants("forms to delete that a viewer sees", eval[int](b, `document.querySelectorAll('form[action$="/delete"]').length`), 0)
	// Somebody who makes the form himself is refused on the server.
	eval[any](b, `{
		const form = document.createElement("form");
		form.id = "forged"; form.method = "post"; form.action = location.pathname + "/delete";
		form.innerHTML = '<input name="reason" value="mine"><button>Delete</button>';
		document.body.prepend(form);
	}`)
	b.wants("a viewer's forged deletion", b.click("#forged button"), http.StatusForbidden)
	b.wants("the event after it", b.open(event), http.StatusOK)
	b.wants("a viewer at /accounts", b.open("/accounts"), http.StatusForbidden)
}

// keyboard tries the keys of a list.
func keyboard(b *browser, s site) {
	b.signIn(s.viewer, s.viewerPass)
	b.open("/audit-logs")
	const rowOfFocus = `[...document.querySelectorAll(".rows tbody tr:not(.day)")].indexOf(document.activeElement.closest("tr"))`
	for _, step := range []struct {
		key  string
		want int
	}{{"j", 0}, {"j", 1}, {"j", 2}, {"k", 1}} {
		b.do(chromedp.KeyEvent(step.key))
		b.wants("the row in focus after "+step.key, eval[int](b, rowOfFocus), step.want)
	}
	// A hundred rows of links lie before what narrows the list down.
	const inFacets = `document.activeElement.closest(".facets") != null`
	b.do(chromedp.KeyEvent("f"))
	b.wants("after f, that a value to narrow down by is in focus", eval[bool](b, inFacets), true)
	b.open("/audit-logs")
	b.do(chromedp.Focus(chromedp.CSS(`a[href="#narrow"]`)), chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(kb.Tab))
	b.wants("after skipping the rows, that a value to narrow down by is in focus", eval[bool](b, inFacets), true)
	b.do(chromedp.KeyEvent("/"))
	b.wants("the element in focus after /", eval[string](b, "document.activeElement.id"), "q")
	b.calm()
}

// narrow looks for pages that are wider than a phone.
func narrow(b *browser, s site) {
	b.signIn(s.superuser, s.password)
	b.do(chromedp.EmulateViewport(360, 740))
	for _, path := range pages(b) {
		b.open(path)
		if wide := eval[int](b, "document.documentElement.scrollWidth"); wide > 360 {
			b.Errorf("%s is %d pixels wide on a screen of 360", path, wide)
		}
	}
	b.calm()
}

// lengthen makes every text of a list that may be long longer than its column.
const lengthen = `{
	for (const e of document.querySelectorAll(".rows td:not(.t, .num) > :is(a, bdi, span), .rows .pair > *, .rows .act span"))
		if (!e.querySelector("svg")) e.innerHTML = "<bdi>" + "<b>WW WWWWWWWWW</b> ".repeat(e.closest(".act") ? 1 : 9) + "</bdi>";
	for (const e of document.querySelectorAll(".rows .late")) e.append(" and 11 months");
}`

// laptop looks at lists as wide as a small laptop's screen, with and without the bar
// to scroll: every row says who did what to what, where and in which module, and no
// text, however long, takes the room of the others or makes the page go sideways.
func laptop(b *browser, s site) {
	const (
		shown = `[...document.querySelectorAll(".rows thead th")].filter(h => h.getBoundingClientRect().width > 40).map(h => h.textContent).join(" ")`
		// The box of a range is that of the text before it is cut.
		untold = `[...document.querySelectorAll(".rows td :is(a, bdi, span)")].filter(e => {
			const text = document.createRange();
			text.selectNodeContents(e);
			const over = text.getBoundingClientRect(), box = e.getBoundingClientRect();
			return getComputedStyle(e).overflowX == "hidden" && (over.width > box.width + .5 || over.height > box.height + 4) && !e.closest("[title]");
		}).map(e => e.textContent).join("; ")`
		narrowest = `Math.min(...[...document.querySelectorAll(".rows thead th")].filter(h => h.offsetWidth > 0 && !["State", "Select"].includes(h.textContent)).map(h => h.offsetWidth))`
		apart     = `[...document.querySelectorAll(".rows tbody tr:not(.day)")].filter(r => [...r.cells].some(c => c.scrollWidth > c.clientWidth + 1)).length`
	)
	b.signIn(s.superuser, s.password)
	for _, width := range []int64{1265, 1280, 1440} {
		b.do(chromedp.EmulateViewport(width, 900))
		for list, columns := range map[string]string{
			"/audit-logs":     "Time Who Action What happened Object Module Address",
			"/login-attempts": "Time Who Status What happened Address Place With",
			"/data-exports":   "Time Who What happened Format Rows Size Address",
			"/system-events":  "Time Type What happened Module State Who",
			// The boxes are narrower than what counts as shown, and take no column's place.
			"/audit-logs?select=rows":    "Time Who Action What happened Object Module Address",
			"/system-events?select=rows": "Time Type What happened Module State Who",
		} {
			b.open(list)
			where := fmt.Sprintf("%s at %d pixels", list, width)
			b.wants("the columns of "+where, eval[string](b, shown), columns)
			b.wants("the width of "+where, eval[int64](b, "document.documentElement.scrollWidth"), width)
			b.wants("texts cut short that do not say the whole, on "+where, eval[string](b, untold), "")
			eval[any](b, lengthen)
			b.wants("the width of "+where+" with long texts", eval[int64](b, "document.documentElement.scrollWidth"), width)
			b.wants("rows whose long texts leave their columns, on "+where, eval[int](b, apart), 0)
			if least := eval[int](b, narrowest); least < 58 {
				b.Errorf("the narrowest column of %s with long texts has %d pixels", where, least)
			}
		}
	}
	b.calm()
}

// selecting looks at lists whose rows can be ticked: the boxes take the room that
// they need, and what happened has the rest.
func selecting(b *browser, s site) {
	b.signIn(s.superuser, s.password)
	for _, list := range []string{"/audit-logs", "/login-attempts", "/data-exports", "/system-events", "/system-events?q=is%3Aunresolved"} {
		u, err := url.Parse(list)
		b.check(err)
		q := u.Query()
		q.Set("select", "rows")
		b.open(u.Path + "?" + q.Encode())
		const width = `document.querySelector(".rows tbody tr:not(.day) .%s").getBoundingClientRect().width`
		pick, what := eval[float64](b, strings.Replace(width, "%s", "pick", 1)), eval[float64](b, strings.Replace(width, "%s", "what", 1))
		if pick > 48 || what < 200 {
			b.Errorf("%s: the boxes take %.0f pixels, and what happened %.0f", list, pick, what)
		}
	}
	b.open("/audit-logs?select=rows")
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent("x"))
	b.wants("the rows selected by x", eval[string](b, `[...document.querySelectorAll("input[name=id]")].flatMap((box, i) => box.checked ? [i] : []).join()`), "1")
	const chosen = `document.querySelector("[data-chosen]").textContent.split(" ")[0]`
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent("X"))
	b.wants("the rows selected up to where Shift and x were pressed", eval[string](b, chosen), "3")
	eval[any](b, `document.querySelectorAll("input[name=id]")[7].dispatchEvent(new MouseEvent("click", {shiftKey: true, cancelable: true}))`)
	b.wants("the rows selected up to where Shift was held", eval[string](b, chosen), "7")
	path := eval[string](b, "document.activeElement.pathname")
	b.goes(chromedp.KeyEvent("o"))
	at, _ := b.where()
	b.wants("the page after o", at, path)

	b.do(chromedp.EmulateViewport(360, 740))
	b.open("/audit-logs?select=rows")
	const inSight = `{ const box = document.querySelector("%s").getBoundingClientRect(); box.top >= 0 && box.bottom <= innerHeight }`
	b.wants("what is chosen is in sight on a phone", eval[bool](b, strings.Replace(inSight, "%s", "[data-chosen]", 1)), true)
	b.do(chromedp.Click(chromedp.CSS(".selection a[href^='#']")))
	b.wants("where the way to the form leads", eval[string](b, "document.activeElement.name"), "reason")
	b.wants("the button of the form is in sight", eval[bool](b, strings.Replace(inSight, "%s", ".selection .line .btn", 1)), true)
	b.calm()
}

// pages returns one address of each sort of page.
func pages(b *browser) []string {
	b.Helper()
	all := []string{"/", "/accounts", "/query-help", "/account/password", "/users?name=maria.keller"}
	for _, list := range []string{"/audit-logs", "/login-attempts", "/data-exports", "/system-events"} {
		b.open(list)
		all = append(all, list, list+"?q=nothing-is-called-so", eval[string](b, `new URL(document.querySelector("`+firstRow+`").href).pathname`))
	}
	b.open("/audit-logs?q=type%3Acatalog.product+action%3AUPDATE")
	return append(all, eval[string](b, `{ const a = document.querySelector(".obj a"); a.pathname + a.search }`))
}

// ownAddress returns an IPv4 address of this machine that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	need.Skip(t, "this machine has no address but loopback: plain http at another address cannot be tried")
	return ""
}
