package query

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

func TestSentence(t *testing.T) {
	const (
		al = audit.KindAuditLog
		la = audit.KindLoginAttempt
		de = audit.KindDataExport
		se = audit.KindSystemEvent
	)
	tests := []struct {
		kind        audit.Kind
		query, want string
	}{
		{al, ``, `All audit logs`},
		{la, ``, `All login attempts`},
		{al, `action:UPDATE,DELETE user:alice,bob -module:auth last:30d "gift card"`, `Updates and deletions by alice or bob, outside auth, in the last 30 days, that mention “gift card”`},
		{al, `action:UPDATE,DELETE user:alice,maria.keller,svc-billing -module:auth last:30d "gift card"`, `Updates and deletions by alice, maria.keller or svc-billing, outside auth, in the last 30 days, that mention “gift card”`},
		{al, `user:alice action:DELETE -module:billing,catalog last:7d "gift card"`, `Deletions by alice, outside billing and catalog, in the last 7 days, that mention “gift card”`},
		{la, `status:FAILED user:root ip:10.0.0.0/8 on:2026-03-03`, `Failed sign-ins by root from 10.0.0.0/8 on 3 March 2026`},
		{de, `format:csv user:alice rows:>1000`, `CSV exports by alice of more than 1,000 rows`},
		{se, `is:unresolved event:ERROR module:checkout`, `Unresolved errors in checkout`},
		{al, `user:alice`, `Actions by alice`},
		{al, `-user:alice`, `Actions not by alice`},
		{al, `user:a,b,c,d,e`, `Actions by 5 users`},
		{al, `user:""`, `Actions without a user`},
		{al, `-user:""`, `Actions with a user`},
		{al, `user:"",alice`, `Actions by alice or without a user`},
		{al, `-user:"",alice`, `Actions not by alice and with a user`},
		{al, `user:al*`, `Actions by al*`},
		{al, `action:ORDER_PAID,UPDATE type:shop.order`, `ORDER_PAID events and updates on shop.order`},
		{al, `action:PASS*`, `PASS* events`},
		{al, `-action:VIEW`, `Actions except views`},
		{al, `-action:VIEW,LOGIN user:alice last:24h`, `Actions except views and sign-ins, by alice, in the last 24 hours`},
		{al, `-action:ORDER_PAID`, `Actions except ORDER_PAID`},
		{al, `action:CREATE,UPDATE,DELETE,VIEW,EXPORT`, `Actions of 5 kinds`},
		{al, `type:shop.order object:42`, `Actions on shop.order 42`},
		{al, `action:DELETE type:shop.order object:42 user:alice on:2026-03`, `Deletions of shop.order 42 by alice in March 2026`},
		{al, `action:DELETE -type:shop.order`, `Deletions not of shop.order`},
		{al, `type:shop.order,shop.item -object:1`, `Actions on shop.order or shop.item, not on object 1`},
		{al, `module:shop ip:10.0.0.1 session:s1 request:r1 user:alice action:UPDATE on:2026-03-01`, `Updates by alice, in shop, from 10.0.0.1, in session s1, in request r1, on 1 March 2026`},
		{al, `gift card`, `Actions that mention “gift” and “card”`},
		{al, `gift -card`, `Actions that mention “gift” but not “card”`},
		{al, `-card -gift`, `Actions that do not mention “card” or “gift”`},
		{al, `"a" "b" c`, `Actions that mention “a”, “b” and “c”`},
		{al, `reason:refund`, `Actions whose reason contains “refund”`},
		{al, `action:UPDATE user:alice reason:refund field:total old:10 new:12`, `Updates by alice, whose reason contains “refund”, with a change to a field named like “total”, with an old value like “10”, with a new value like “12”`},
		{al, `-reason:refund`, `Actions whose reason does not contain “refund”`},
		{al, `reason:"" -agent:""`, `Actions without a reason, with a user agent`},
		{al, `after:2026-03-01`, `Actions since 1 March 2026`},
		{al, `before:2026-03-01`, `Actions before 1 March 2026`},
		{al, `-after:2026-03-01`, `Actions before 1 March 2026`},
		{al, `-before:2026-03-01`, `Actions since 1 March 2026`},
		{al, `after:2026-03-01 before:2026-04-01`, `Actions from 1 to 31 March 2026`},
		{al, `after:2026-02-28 before:2026-03-04`, `Actions from 28 February to 3 March 2026`},
		{al, `after:2025-12-31 before:2026-03-04`, `Actions from 31 December 2025 to 3 March 2026`},
		{al, `after:2026-03-01 before:2026-03-02`, `Actions on 1 March 2026`},
		{al, `after:2026-03-01T14 before:2026-03-01T16`, `Actions on 1 March 2026 from 14:00 to 16:00`},
		{al, `after:2026-03-01T14:00:00Z`, `Actions since 1 March 2026 at 15:00`},
		{al, `on:2026`, `Actions in 2026`},
		{al, `on:2026-03`, `Actions in March 2026`},
		{al, `on:2026-03-01,2026-03-05`, `Actions on 1 March 2026 or on 5 March 2026`},
		{al, `on:2026-03-01T14`, `Actions on 1 March 2026 from 14:00 to 15:00`},
		{al, `on:2026-03-01T14:05:09.5Z`, `Actions on 1 March 2026 at 15:05:09.5`},
		{al, `-on:2026-03-01`, `Actions not on 1 March 2026`},
		{al, `last:1h`, `Actions in the last hour`},
		{al, `last:1w`, `Actions in the last week`},
		{al, `-last:7d user:bob`, `Actions by bob, not in the last 7 days`},
		{al, `recorded:2026-03-01 last:24h`, `Actions in the last 24 hours, recorded since 1 March 2026`},
		{al, `source:import*`, `Actions recorded through import*`},
		{al, `id:5,6`, `Actions with the id 5 or 6`},
		{al, `ip:10.0.0.0/8 after:2026-03-01 before:2026-04-01 x`, `Actions from 10.0.0.0/8, from 1 to 31 March 2026, that mention “x”`},
		{al, `action:DELETE -type:shop.action,b`, `Deletions not of shop.action or b`},
		{al, `action:LOGIN_FAILED`, `Failed sign-ins`},
		{la, `status:FAILED,BLOCKED country:DE -city:Berlin`, `Failed and blocked sign-ins in DE, outside Berlin`},
		{la, `-status:SUCCESS user:root`, `Login attempts except successful ones, by root`},
		{la, `status:F*`, `Failed sign-ins`},
		{la, `country:FR city:Paris agent:curl reason:password`, `Login attempts in FR in Paris, whose user agent contains “curl”, whose reason contains “password”`},
		{de, `export:orders format:csv rows:>1000 user:alice`, `CSV exports of orders by alice, with more than 1,000 rows`},
		{de, `format:csv,xlsx`, `CSV and XLSX exports`},
		{de, `export:orders,users`, `Data exports of orders or users`},
		{de, `size:>=1.5mb -rows:..10`, `Data exports of at least 1.5 MB, not of at most 10 rows`},
		{de, `rows:1`, `Data exports of 1 row`},
		{de, `rows:""`, `Data exports without a number of rows`},
		{de, `-rows:"" size:1KiB..2gib`, `Data exports of 1 KiB to 2 GiB, with a number of rows`},
		{de, `rows:10..20,42`, `Data exports of 10 to 20 rows or 42 rows`},
		{de, `rows:>=1 rows:<5`, `Data exports of at least 1 row and fewer than 5 rows`},
		{se, `is:unresolved`, `Unresolved system events`},
		{se, `-is:resolved event:ERROR,WARNING`, `Unresolved errors and warnings`},
		{se, `is:unresolved,resolved`, `Resolved and unresolved system events`},
		{se, `-event:INFO code:40P01 function:reserve_stock`, `System events except info events, with code 40P01, in function reserve_stock`},
		{se, `event:INFO user:alice ip:10.0.0.1`, `Info events for alice from 10.0.0.1`},
		{se, `is:resolved resolved-by:ines`, `Resolved system events resolved by ines`},
		{se, `-resolved-by:""`, `System events resolved by somebody`},
		{se, `event:SECURITY,PERFORMANCE title:deadlock last:24h`, `Security events and performance events in the last 24 hours, whose title contains “deadlock”`},
		{se, `is:unresolved event:ERROR module:checkout last:24h timeout`, `Unresolved errors in checkout in the last 24 hours that mention “timeout”`},
		{al, `action:UPDATE action:DELETE`, `Actions, only updates, only deletions`},
		{la, `status:S*,blocked`, `Successful and blocked sign-ins`},
		{se, `event:S* user:x`, `Security events for x`},
		{al, `after:2026-03-01T22 before:2026-03-02`, `Actions on 1 March 2026 from 22:00 to 24:00`},
		{al, `a b c d e f`, `Actions that mention “a”, “b”, “c” and 3 more`},
		{al, `user:a user:b module:c -module:d ip:1.1.1.1 -ip:1.1.1.2 session:x request:y reason:z field:f old:g hello`, `Actions by a, by b, in c, from 1.1.1.1, in session x, in request y, outside d, under 4 more conditions, that mention “hello”`},
		{se, `is:resolved -is:unresolved`, `System events, only resolved, except unresolved`},
		{de, `export:orders rows:>=1 rows:<5 size:>1KB`, `Data exports of orders, with at least 1 row and fewer than 5 rows, with more than 1 KB`},
		{al, `repr:Order*`, `Actions whose object’s name begins with “Order”`},
		{al, `-reason:re* old:a,b*`, `Actions whose reason does not begin with “re”, with an old value like “a” or “b*”`},
		{la, `user:"" status:FAILED`, `Failed sign-ins without a user`},
		{de, `export:orders on:2026-03-01 -format:csv`, `Data exports of orders, except csv, on 1 March 2026`},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.kind, tt.query).Sentence(); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.kind, tt.query, got, tt.want)
		}
	}
}

func TestEmptySentence(t *testing.T) {
	const (
		al = audit.KindAuditLog
		la = audit.KindLoginAttempt
		de = audit.KindDataExport
		se = audit.KindSystemEvent
	)
	tests := []struct {
		kind        audit.Kind
		query, want string
	}{
		{al, ``, `No audit logs yet`},
		{al, `user:alice action:DELETE -module:billing,catalog last:7d "gift card"`,
			`Nothing: no deletion by alice, outside billing and catalog, in the last 7 days, mentions “gift card”`},
		{al, `action:UPDATE,DELETE last:7d`, `Nothing: no update or deletion in the last 7 days`},
		{al, `gift -card`, `Nothing: no action mentions “gift” but not “card”`},
		{al, `-gift`, `Nothing: no action lacks “gift”`},
		{al, `action:ORDER_PAID`, `Nothing: no ORDER_PAID event`},
		{la, `-status:SUCCESS user:root`, `Nothing: no login attempt except successful ones, by root`},
		{la, `status:FAILED,BLOCKED`, `Nothing: no failed or blocked sign-in`},
		{de, `format:csv,xlsx rows:>1000`, `Nothing: no CSV or XLSX export of more than 1,000 rows`},
		{se, `is:unresolved event:ERROR,WARNING timeout`, `Nothing: no unresolved error or warning mentions “timeout”`},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.kind, tt.query).EmptySentence(); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.kind, tt.query, got, tt.want)
		}
	}
}

func TestPhrase(t *testing.T) {
	tests := []struct {
		kind        audit.Kind
		query, want string
	}{
		{audit.KindAuditLog, `user:alice,bob`, `by alice or bob`},
		{audit.KindAuditLog, `action:DELETE,ORDER_PAID`, `only deletions or ORDER_PAID`},
		{audit.KindAuditLog, `-action:VIEW,EXPORT`, `except views and exports`},
		{audit.KindAuditLog, `-module:billing,catalog`, `outside billing and catalog`},
		{audit.KindAuditLog, `last:7d`, `in the last 7 days`},
		{audit.KindAuditLog, `"gift card"`, `that mention “gift card”`},
		{audit.KindAuditLog, `-"gift card"`, `that do not mention “gift card”`},
		{audit.KindAuditLog, `type:shop.order`, `on shop.order`},
		{audit.KindDataExport, `rows:>1000`, `of more than 1,000 rows`},
		{audit.KindSystemEvent, `is:unresolved`, `only unresolved ones`},
		{audit.KindSystemEvent, `-is:unresolved`, `only resolved ones`},
	}
	for _, tt := range tests {
		if got := mustParse(t, tt.kind, tt.query).Phrase(0); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.kind, tt.query, got, tt.want)
		}
	}
}

// TestSentenceStaysShort holds that whatever fits into a query fits above a list.
func TestSentenceStaysShort(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, query := range []string{
		strings.Repeat("word ", MaxTerms),
		strings.Repeat("user:"+long[:40]+" ", MaxTerms),
		"user:" + strings.Repeat("a,", MaxValues-1) + "b",
		"on:" + strings.Repeat("2026-03-01,", MaxValues-1) + "2026",
		`reason:` + strings.Repeat(long[:10]+",", 50) + `b`,
		`"` + strings.Repeat("a ", 1000) + `"`,
	} {
		if n := utf8.RuneCountInString(mustParse(t, audit.KindAuditLog, query).Sentence()); n > 600 {
			t.Errorf("%.60s…: the sentence has %d characters", query, n)
		}
	}
}

// TestSentenceIsSafe holds that no value can turn the headline around or break
// its line. Markup is the page's to escape.
func TestSentenceIsSafe(t *testing.T) {
	got := mustParse(t, audit.KindAuditLog, "user:\"a\u202eb\nc\u0007\"").Sentence()
	if want := "Actions by a�b c�"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
