package authz

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/auditadmin/auditadmin/internal/db"
)

var update = flag.Bool("update", false, "write testdata/policy.txt anew; then read what changed")

// TestPolicyIsAsAgreed keeps the whole policy in a file that people read: a
// change of who may do what is a change there.
func TestPolicyIsAsAgreed(t *testing.T) {
	names := map[Right]string{TokenOnly: "-", Public: "anybody", Viewer: "viewer", Responder: "responder", Superuser: "superuser"}
	var b strings.Builder
	for _, r := range Rules() {
		token := r.Token
		if r.Loopback {
			token += " or loopback"
		}
		for _, mark := range []struct {
			set  bool
			word string
		}{{r.Fresh, "asks again"}, {r.Bare, "also without the second factor"}} {
			if mark.set {
				token = strings.TrimPrefix(token+", "+mark.word, ", ")
			}
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-4s %-32s %-10s %s", r.Method, r.Pattern, names[r.Right], token), " ") + "\n")
	}
	if *update {
		if err := os.WriteFile("testdata/policy.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/policy.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("policy: got\n%s\nwant what testdata/policy.txt says (go test -update writes it)", got)
	}
}

func TestRulesAreWhole(t *testing.T) {
	for _, r := range Rules() {
		switch {
		case r.Does == "":
			t.Errorf("%s %s: nothing to say when it refuses", r.Method, r.Pattern)
		case r.Method != "GET" && r.Method != "POST":
			t.Errorf("%s %s: a method that forms cannot send", r.Method, r.Pattern)
		case r.Right == TokenOnly && r.Token == "":
			t.Errorf("%s %s: nobody may use it", r.Method, r.Pattern)
		case r.Fresh && (r.Method != "POST" || r.Right == Public || r.Token != ""):
			t.Errorf("%s %s: only what an account sends as a form can ask again who it is", r.Method, r.Pattern)
		case r.Right == Superuser && r.Method == "POST" && !r.Fresh:
			t.Errorf("%s %s: it does what only a superuser may and does not ask again who it is", r.Method, r.Pattern)
		case r.Method == "POST" && r.Token == ScopeRead:
			t.Errorf("%s %s: a read token changes something", r.Method, r.Pattern)
		}
	}
	if got, want := (Rule{Right: Superuser, Does: "delete audit logs"}).Sentence(), "Only a superuser may delete audit logs"; got != want {
		t.Errorf("Sentence: got %q, want %q", got, want)
	}
}

func TestTwoRulesForOneRouteAreRefused(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got a policy in which one of two rules does not hold")
		}
	}()
	NewPolicy([]Rule{{Method: "GET", Pattern: "/x", Right: Superuser}, {Method: "GET", Pattern: "/x", Right: Public}})
}

// TestT4_Matrix asks every route as everybody.
//
// ASVS:V8.2.1 ASVS:V13.2.1 ASVS:V13.2.2
func TestT4_Matrix(t *testing.T) {
	h := newHouse(t, setup{})
	ctx := t.Context()
	cookies := map[string]*http.Cookie{}
	for _, name := range []string{"viewer", "responder", "superuser", "disabled", "expired", "ended"} {
		role := db.Role(name)
		if role != db.RoleViewer && role != db.RoleResponder {
			role = db.RoleSuperuser
		}
		h.account(name, role)
	}
	cookies["expired"] = h.enter("expired")
	h.sleep(sessionIdle)
	for _, name := range []string{"viewer", "responder", "superuser", "disabled", "ended"} {
		cookies[name] = h.enter(name)
	}
	read, _ := h.token(ScopeRead, time.Time{})
	ingest, _ := h.token(ScopeIngest, time.Time{})
	old, _ := h.token(ScopeRead, h.clock())
	revoked, tok := h.token(ScopeRead, time.Time{})
	disabled, err := h.store.Account(ctx, "disabled")
	if err != nil {
		t.Fatal(err)
	}
	ended, err := h.store.Account(ctx, "ended")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.EndSessions(ctx, db.Actor{}, ended.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.store.SetDisabled(ctx, db.Actor{}, disabled.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := h.store.RevokeToken(ctx, db.Actor{}, tok.ID); err != nil {
		t.Fatal(err)
	}
	callers := map[string]func(*http.Request){
		"stranger": func(*http.Request) {}, "forged": cookie(&http.Cookie{Name: cookiePlain, Value: newSecret()}),
		"read token": with("Authorization", "Bearer "+read), "ingest token": with("Authorization", "Bearer "+ingest),
		"old token": with("Authorization", "Bearer "+old), "revoked token": with("Authorization", "Bearer "+revoked),
		"forged token": with("Authorization", "Bearer "+tokenPrefix+newSecret()), "basic": with("Authorization", "Basic YTpi"),
	}
	for name, c := range cookies {
		callers[name] = cookie(c)
	}
	rank := map[string]Right{"viewer": Viewer, "responder": Responder, "superuser": Superuser}
	for _, rule := range Rules() {
		if rule.Right == Public {
			continue // its own tests
		}
		target := strings.NewReplacer("{id}", "7", "*", "x").Replace(rule.Pattern)
		data := strings.Contains(target, ".") || strings.HasSuffix(target, "/proof") || strings.HasPrefix(target, "/api/") || target == "/metrics"
		for name, as := range callers {
			if rule.Pattern == "/account/password" && rule.Method == "POST" && rank[name] != 0 {
				continue // really changes it; its own test
			}
			want := http.StatusSeeOther // a stranger before a page
			switch {
			case name == "read token" && rule.Token == ScopeRead, name == "ingest token" && rule.Token == ScopeIngest,
				rule.Right != TokenOnly && rank[name] >= rule.Right:
				want = http.StatusOK
			case rank[name] != 0, name == "read token", name == "ingest token":
				want = http.StatusForbidden
			case strings.HasSuffix(name, " token"), name == "basic", data:
				want = http.StatusUnauthorized
			}
			w := h.do(request(rule.Method, target, as))
			if w.Code != want {
				t.Errorf("%s %s as %s: got status %d, want %d", rule.Method, target, name, w.Code, want)
			}
			if want == http.StatusForbidden && !strings.Contains(w.Body.String(), rule.Sentence()) {
				t.Errorf("%s %s as %s: got %q, want the rule in it", rule.Method, target, name, w.Body)
			}
		}
	}
}

// ASVS:V8.2.1 ASVS:V16.5.3
func TestARouteWithoutARuleIsNotServed(t *testing.T) {
	h := newHouse(t, setup{rules: []Rule{
		{Method: "GET", Pattern: "/open", Right: Public, Does: "x"},
		{Method: "POST", Pattern: "/sub/thing/{id}", Right: Public, Does: "x"},
	}})
	served := false
	serve := func(w http.ResponseWriter, r *http.Request) { served = true }
	r := chi.NewRouter()
	r.Use(h.gate.Enforce)
	r.Get("/open", serve)
	r.Post("/open", serve)
	r.Get("/forgotten", serve)
	r.HandleFunc("/any", serve)
	r.Route("/sub", func(r chi.Router) {
		r.Post("/thing/{id}", serve)
		r.Post("/other", serve)
	})
	r.Group(func(r chi.Router) { r.Get("/grouped", serve) })
	h.Handler = r
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/open", 200}, {"POST", "/sub/thing/1", 200},
		{"POST", "/open", 500}, {"GET", "/forgotten", 500}, {"PUT", "/any", 500}, {"POST", "/sub/other", 500}, {"GET", "/grouped", 500},
		{"GET", "/nowhere", 404}, {"GET", "/sub/thing/1", 405}, {"BREW", "/open", 405},
		{"HEAD", "/forgotten", 500}, // GetHead would answer it as GET
	} {
		served = false
		h.wantStatus(c.status, c.method, c.target)
		if served != (c.status == 200) {
			t.Errorf("%s %s: served %v", c.method, c.target, served)
		}
	}
}
