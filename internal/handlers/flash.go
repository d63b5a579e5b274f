package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/authz"
	"github.com/auditadmin/auditadmin/web/templates"
)

// flashCookie carries what the last action did to the page after it. It holds a
// word of the table below and a number: a cookie, and not the URL, because an
// address that somebody sends must not be able to claim that something was done.
const flashCookie = "done"

// done is what an action did: a word of flashes, how many it concerned, and the
// id of the one event where there is one.
type done struct {
	what  string
	count int
	kind  audit.Kind
	id    int64
	left  []int64 // system events that were resolved before, and stay as they were
}

// flashes say what was done.
var flashes = map[string]func(d done) string{
	"resolved":         func(d done) string { return plural(int64(d.count), "system event") + " resolved." },
	"reopened":         func(d done) string { return "Opened again." },
	"deleted":          func(d done) string { return plural(int64(d.count), "event") + " deleted; the place of each says so." },
	"held":             func(d done) string { return "The hold is placed; what it covers stays." },
	"released":         func(d done) string { return "The hold is released." },
	"retention-set":    func(d done) string { return "The retention is set; it is applied once a day." },
	"redacted":         func(d done) string { return "The content is gone for good; the page says that it was here." },
	"account-created":  func(d done) string { return "The account is there; tell its owner the password on a safe way." },
	"role-changed":     func(d done) string { return "The role is changed, from the next request on." },
	"disabled":         func(d done) string { return "The account is disabled and its sessions are ended." },
	"enabled":          func(d done) string { return "The account may sign in again." },
	"password-set":     func(d done) string { return "The password is set and the account's other sessions are ended." },
	"session-ended":    func(d done) string { return plural(int64(d.count), "session") + " ended." },
	"password-changed": func(d done) string { return "Your password is changed and your other sessions are ended." },
	"confirmed":        func(d done) string { return "That was you. Go back to the page that asked, and go on there." },
	"factor-removed":   func(d done) string { return "Your second factor is off, and your other sessions are ended." },
	"factor-reset":     func(d done) string { return "The second factor is reset and the account's sessions are ended." },
	"few-codes": func(d done) string {
		return plural(int64(d.count), "recovery code") + " left: it is time for new ones."
	},
	"signed-out":    func(d done) string { return "You are signed out." },
	"token-revoked": func(d done) string { return "The token is revoked; it opens nothing any more." },
}

// leaveFlash tells the next page what was done.
func (s *Server) leaveFlash(w http.ResponseWriter, r *http.Request, d done) {
	if d.what == "" {
		return
	}
	value := d.what + "." + strconv.Itoa(d.count)
	if d.id != 0 {
		value += "." + string(d.kind) + "." + strconv.FormatInt(d.id, 10)
	}
	if len(d.left) > 0 {
		value += "." + strconv.Itoa(len(d.left)) + "."
		for i, id := range d.left[:min(len(d.left), alreadyKept)] {
			if i > 0 {
				value += "-"
			}
			value += strconv.FormatInt(id, 10)
		}
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Value: value, Path: "/", MaxAge: 60, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.gate.Secure(r)})
}

// takeFlash reads what the last action did, once.
func (v *visit) takeFlash(w http.ResponseWriter, r *http.Request) *templates.Flash {
	s := v.server
	c, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.gate.Secure(r)})
	fields := strings.Split(c.Value, ".")
	say, known := flashes[fields[0]]
	if !known || len(fields) < 2 {
		return nil
	}
	d := done{what: fields[0]}
	if d.count, err = strconv.Atoi(fields[1]); err != nil || d.count < 0 {
		return nil
	}
	flash := &templates.Flash{Tone: templates.Sure, Text: say(d)}
	if d.what == "resolved" && len(fields) == 2 && v.who.SignedIn() {
		flash.Link = v.nextOpen()
	}
	if len(fields) == 4 {
		kind, valid := audit.ParseKind(fields[2])
		if id, ok := eventID(fields[3]); valid && ok {
			flash.Link = &templates.Link{Text: "See its place", Href: eventPath(kind, id)}
		} else if left, err := eventIDs(strings.Split(fields[3], "-")); err == nil && v.who.SignedIn() {
			v.flashLeft(flash, fields[2], left)
		}
	}
	return flash
}

// flashLeft says what was resolved already, and leads to it. The cookie only names
// it: what it says is what the reader may read.
func (v *visit) flashLeft(flash *templates.Flash, count string, left []int64) {
	n, err := strconv.Atoi(count)
	if err != nil || n < len(left) {
		return
	}
	were := " more were"
	if n == 1 {
		were = " more was"
	}
	flash.Text += " " + number(int64(n)) + were + " resolved already, and nothing was changed there"
	if said := v.already(left); said != "" {
		flash.Text += ": " + said
	}
	flash.Text += "."
	link := alreadyLink(left)
	flash.Link = &link
}

// eventPath is the address of one event.
func eventPath(kind audit.Kind, id int64) string {
	return "/" + kind.Path() + "/" + strconv.FormatInt(id, 10)
}

// localPath returns where a form wants to go on, if that is a page of ours, and
// otherwise the given page: a form must not lead to a stranger's site.
func localPath(next, otherwise string) string {
	if next == "" || authz.SafeNext(next) != next {
		return otherwise
	}
	return next
}
