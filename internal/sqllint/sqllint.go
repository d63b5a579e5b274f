// Package sqllint finds statements that distributed PostgreSQL (Citus) refuses, or
// that read every month of an event table where a bound would spare most of them.
// It looks at the text alone, so that it can judge whatever a test suite runs on
// plain PostgreSQL.
//
// The rules, and what they mean:
//
//   - [RuleCtid]: ctid is named. It repeats across partitions and shards.
//   - [RuleLateral]: LATERAL with a LIMIT inside. row_number() does the same.
//   - [RuleGroupingSets]: GROUPING SETS, CUBE or ROLLUP.
//   - [RuleForUpdate]: a locking clause without "id = value", a literal, a parameter
//     or an expression of such, on each table that it locks.
//   - [RuleVolatile]: a function that gives another answer each time in the
//     condition of an UPDATE or DELETE. Its value is passed as a parameter.
//   - [RuleCorrelated]: an event table in a query within an expression whose conditions
//     name a column of a table of the outer query that is not distributed. The events
//     are taken first, in a query of their own, WITH … AS MATERIALIZED.
//   - [RuleShipped]: the ledger beside an event table in one list of tables, with no
//     bound on its seq or id of its own: all of it is sent to where the events are. Not
//     so where "id = value" lets one event through alone.
//   - [RuleBound]: an event table is read, updated or deleted from without a bound
//     on its id: see below.
//   - [RuleUnread]: the statement cannot be judged. Nothing passes unseen.
//
// Only what reads or changes rows is judged: definitions (CREATE, ALTER, GRANT, …),
// settings and the control of transactions are not; what a schema may hold is
// asked of the catalog. A partition that is named itself is not an event table.
//
// # Bounds
//
// An event table is bounded where its conditions, of WHERE or of the ON that brings
// it in, hold one of these as a whole or among what AND joins, and where OR joins
// them, on each side:
//
//   - id compared by =, <, <=, > or >= with a value, on either side
//   - id BETWEEN two values, or id IN a list of values
//   - id IN (SELECT …) of a query that is bounded itself
//   - id compared so with a column of another table, or USING (id), if that other
//     table is bounded, is the ledger with such a condition on its seq or id, or is
//     neither of both: a CTE, a list given as a parameter, a small table
//
// A value is a literal, a parameter, a query in parentheses, a column of an outer
// query, or an expression of those. Also taken is a query that asks for min(id)
// and max(id) alone, without a condition: each partition looks at one end of its key.
//
// No bound is: id = ANY($1) alone, which PostgreSQL does not prune by once a plan is
// generic (add id BETWEEN); a comparison of rows, for the same reason; an
// expression over id; a condition of a LEFT JOIN on the table to its left; ORDER BY
// id LIMIT n, which touches one partition only if there is no default one; and a
// condition outside of the query in which the table stands.
package sqllint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// The rules.
const (
	RuleCtid         = "ctid"
	RuleLateral      = "lateral"
	RuleGroupingSets = "grouping sets"
	RuleForUpdate    = "for update"
	RuleVolatile     = "volatile"
	RuleCorrelated   = "correlated"
	RuleShipped      = "shipped"
	RuleBound        = "bound"
	RuleUnread       = "unread"
	RuleExemption    = "exemption" // of Check alone
)

// Fault is what a rule finds in a statement.
type Fault struct {
	Rule      string
	Detail    string // what, and what to do instead
	Statement string
}

// String is the fault on one line: its rule, what is wrong, and the statement with
// single blanks.
func (f Fault) String() string {
	return f.Rule + ": " + f.Detail + ": " + strings.Join(strings.Fields(f.Statement), " ")
}

// Exemption lets one statement be as it is, for a reason.
type Exemption struct {
	Statement string // blanks and comments do not matter
	Reason    string
}

// Lint returns the faults of a text of one or several statements, each only once,
// and nil where there are none. Parameters are written $1 or ?.
func Lint(statement string) []Fault {
	statements, err := read(statement)
	if err != nil {
		return []Fault{{RuleUnread, err.Error(), statement}}
	}
	l := &linter{text: statement, judged: map[*node]bool{}}
	for _, s := range statements {
		l.statement(s)
	}
	return l.faults
}

// Check returns the faults of many statements, but for those that are exempt. An
// exemption without a reason is a fault, and so is one that no statement needs.
func Check(statements []string, exempt []Exemption) []Fault {
	var faults []Fault
	needed := map[string]bool{}
	allowed := map[string]bool{}
	for _, x := range exempt {
		allowed[normal(x.Statement)] = true
	}
	seen := map[string]bool{}
	for _, s := range statements {
		if seen[s] {
			continue
		}
		seen[s] = true
		found := Lint(s)
		if n := normal(s); len(found) > 0 && allowed[n] {
			needed[n] = true
			continue
		}
		faults = append(faults, found...)
	}
	for _, x := range exempt {
		if strings.TrimSpace(x.Reason) == "" {
			faults = append(faults, Fault{RuleExemption, "no reason is given", x.Statement})
		}
		if !needed[normal(x.Statement)] {
			faults = append(faults, Fault{RuleExemption, "no statement needs it", x.Statement})
		}
	}
	return faults
}

// normal is a statement without what does not matter in it.
func normal(statement string) string {
	tokens, err := scan(statement)
	if err != nil {
		return strings.Join(strings.Fields(statement), " ")
	}
	var all []string
	for _, t := range tokens {
		all = append(all, fmt.Sprint(t.kind, t.text))
	}
	return strings.Join(all, "\x00")
}

// linter is one text on its way through the rules.
type linter struct {
	text   string
	faults []Fault
	ctes   map[string]bool // names of WITH, and whether what they hold is bounded
	judged map[*node]bool  // queries by their first token, and whether they are bounded
	outer  []*block        // the queries in whose expressions the one at hand stands
}

func (l *linter) fault(rule, format string, args ...any) {
	f := Fault{rule, fmt.Sprintf(format, args...), l.text}
	if !slices.Contains(l.faults, f) {
		l.faults = append(l.faults, f)
	}
}

// isEvents reports whether a table holds events.
func (l *linter) isEvents(table string) bool {
	_, cte := l.ctes[table]
	return !cte && slices.Contains(audit.Kinds(), audit.Kind(table))
}

// isLedger reports whether a table is the ledger, whose key is seq.
func (l *linter) isLedger(table string) bool {
	_, cte := l.ctes[table]
	return !cte && table == "ledger"
}

// notJudged begin statements that read and change no rows by a condition.
var notJudged = []string{"create", "alter", "drop", "comment", "grant", "revoke", "truncate", "set", "reset", "show", "begin", "start", "commit", "end",
	"rollback", "abort", "savepoint", "release", "analyze", "vacuum", "reindex", "cluster", "checkpoint", "lock", "listen", "notify", "unlisten", "discard",
	"deallocate", "close", "fetch", "move", "do", "call", "load", "refresh", "reassign", "security"}

// statement judges one statement.
func (l *linter) statement(s []node) {
	// What is explained, prepared or read by a cursor is what matters.
	for len(s) > 0 && s[0].is("explain", "declare", "prepare", "execute") {
		if s[0].is("execute") {
			return // was judged when it was prepared
		}
		at := slices.IndexFunc(s, func(n node) bool {
			return n.is("select", "with", "insert", "update", "delete", "values", "table") || n.query()
		})
		if at < 0 {
			l.fault(RuleUnread, "%s of nothing known", s[0].text)
			return
		}
		s = s[at:]
	}
	switch {
	case len(s) == 0 || s[0].is(notJudged...):
		return
	case s[0].is("copy"):
		l.copy(s[1:])
		return
	case !s[0].is("select", "with", "insert", "update", "delete", "values", "table") && !s[0].query():
		l.fault(RuleUnread, "statements that begin with %q are not known here", s[0].text)
		return
	}
	l.ctes = map[string]bool{}
	l.words(s)
	l.query(s)
}

// copy judges what comes after COPY: a table that is read is read as a whole.
func (l *linter) copy(s []node) {
	if len(s) > 0 && s[0].query() {
		l.statement(s[0].in)
		return
	}
	name, _ := tableName(s)
	if l.isEvents(name) && slices.ContainsFunc(s, func(n node) bool { return n.is("to") }) {
		l.fault(RuleBound, "COPY of %s reads all of it: copy a query with a bound on id", name)
	}
}

// words finds what is wrong wherever it stands.
func (l *linter) words(s []node) {
	for i, n := range s {
		switch {
		case n.name() && n.text == "ctid":
			l.fault(RuleCtid, "ctid repeats across partitions and shards: name rows by id")
		case n.is("lateral") && i+1 < len(s) && s[i+1].parens() && limited(s[i+1].in):
			l.fault(RuleLateral, "LATERAL with LIMIT is refused: number the rows with row_number()")
		case n.is("grouping") && i+1 < len(s) && s[i+1].is("sets"), n.is("cube", "rollup") && i+1 < len(s) && s[i+1].parens() && grouped(s[:i]):
			l.fault(RuleGroupingSets, "%s is refused: ask once for each grouping", strings.ToUpper(n.text))
		}
		if n.kind == group {
			l.words(n.in)
		}
	}
}

// limited reports whether a query, or one within it, says how many rows it gives.
func limited(s []node) bool {
	return slices.ContainsFunc(s, func(n node) bool { return n.is("limit", "fetch") || n.kind == group && limited(n.in) })
}

// grouped reports whether what stands before belongs to GROUP BY.
func grouped(before []node) bool {
	at := slices.IndexFunc(before, func(n node) bool { return n.is("group") })
	return at >= 0 && !slices.ContainsFunc(before[at:], func(n node) bool { return n.is("having", "order", "limit", "window") })
}

// groups judges the queries that stand in parentheses somewhere in s.
func (l *linter) groups(s []node) {
	for _, n := range s {
		if n.query() {
			l.query(n.in)
		} else if n.kind == group {
			l.groups(n.in)
		}
	}
}

// query judges a query with all that is in it, and reports whether it reads no more
// of the event tables and the ledger than its conditions bound.
func (l *linter) query(s []node) bool {
	if len(s) == 0 {
		return true
	}
	bounded, judged := l.judged[&s[0]]
	if !judged {
		bounded = l.judge(s)
		l.judged[&s[0]] = bounded
	}
	return bounded
}

func (l *linter) judge(s []node) (bounded bool) {
	s = l.with(s)
	if len(s) == 0 {
		return true
	}
	switch {
	case s[0].is("update"):
		return l.update(s[1:])
	case s[0].is("delete"):
		return l.delete(s[1:])
	case s[0].is("insert"):
		return l.insert(s[1:])
	}
	bounded = true
	begin, limit := 0, false
	part := func(end int) {
		p := s[begin:end]
		if len(p) > 0 && p[0].is("all", "distinct") { // UNION ALL
			p = p[1:]
		}
		switch {
		case len(p) == 0:
		case p[0].is("select"):
			bounded = l.selection(p[1:]) && bounded
		case p[0].is("table"):
			if name, _ := tableName(p[1:]); l.isEvents(name) {
				l.fault(RuleBound, "TABLE %s reads all of it", name)
				bounded = false
			}
		case p[0].query():
			bounded = l.query(p[0].in) && bounded
		default:
			l.groups(p)
		}
	}
	for i, n := range s {
		limit = limit || n.is("limit", "fetch")
		if n.is("union", "intersect", "except") {
			part(i)
			begin = i + 1
		}
	}
	part(len(s))
	return bounded || limit
}

// with judges the queries of a WITH, notes their names, and returns what follows.
func (l *linter) with(s []node) []node {
	if len(s) == 0 || !s[0].is("with") {
		return s
	}
	if s = s[1:]; len(s) > 0 && s[0].is("recursive") {
		s = s[1:]
	}
	for len(s) > 0 && s[0].name() && !s[0].is("select", "insert", "update", "delete", "values", "table") {
		name := s[0].text
		at := slices.IndexFunc(s, node.query)
		if at < 0 {
			break
		}
		l.ctes[name] = true // while it is read: it may name itself
		l.ctes[name] = l.query(s[at].in)
		s = s[at+1:]
		if len(s) > 0 && s[0].is(",") {
			s = s[1:]
		}
	}
	return s
}

// selection judges what comes after SELECT.
func (l *linter) selection(s []node) bool {
	list, c := clauses(s)
	b := &block{linter: l}
	b.from(c["from"])
	b.conditions = append(b.conditions, condition{nodes: c["where"]})
	b.within(list)
	for _, name := range []string{"where", "group", "having", "window", "order", "limit", "offset", "fetch", "for"} {
		b.within(c[name])
	}
	bounded := b.settle(func() bool { return len(c["where"]) == 0 && len(c["group"]) == 0 && ends(list) })
	if lock := c["for"]; len(lock) > 0 {
		of := slices.IndexFunc(lock, func(n node) bool { return n.is("of") })
		for _, t := range b.tables {
			locked := of < 0 || slices.ContainsFunc(lock[of:], func(n node) bool { return n.name() && n.text == t.alias })
			if locked && !t.derived && !b.fixed(t) {
				l.fault(RuleForUpdate, "%s is locked without \"id = value\"", t.name)
			}
		}
	}
	return bounded
}

// update judges what comes after UPDATE.
func (l *linter) update(s []node) bool {
	at := slices.IndexFunc(s, func(n node) bool { return n.is("set") })
	if at < 0 {
		l.fault(RuleUnread, "UPDATE without SET")
		return false
	}
	target := s[:at]
	list, c := clauses(s[at+1:])
	return l.change(target, c["from"], list, c)
}

// delete judges what comes after DELETE.
func (l *linter) delete(s []node) bool {
	if len(s) == 0 || !s[0].is("from") {
		l.fault(RuleUnread, "DELETE without FROM")
		return false
	}
	target, c := clauses(s[1:])
	var others []node
	if at := slices.IndexFunc(target, func(n node) bool { return n.is("using") }); at >= 0 {
		target, others = target[:at], target[at+1:]
	}
	return l.change(target, others, nil, c)
}

// change judges an UPDATE or DELETE of a table, with what it reads besides.
func (l *linter) change(target, others, list []node, c map[string][]node) bool {
	b := &block{linter: l}
	b.from(target)
	b.from(others)
	b.conditions = append(b.conditions, condition{nodes: c["where"]})
	b.within(list)
	b.within(c["where"])
	b.within(c["returning"])
	for _, nodes := range [][]node{c["where"], others} {
		l.volatile(nodes)
	}
	return b.settle(func() bool { return false })
}

// insert judges what comes after INSERT: the query that it stores, if it has one.
func (l *linter) insert(s []node) bool {
	end := len(s)
	for i, n := range s {
		if n.is("returning") || n.is("on") && i+1 < len(s) && s[i+1].is("conflict") {
			end = i
			break
		}
	}
	l.groups(s[end:])
	at := slices.IndexFunc(s[:end], func(n node) bool { return n.is("select", "with", "values", "table") || n.query() })
	return at < 0 || l.query(s[at:end])
}

// volatiles are functions and values that are different each time, or each
// transaction. Those that begin with an advisory lock's name come to them.
var volatiles = []string{"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday", "current_timestamp", "current_time", "current_date",
	"localtime", "localtimestamp", "random", "random_normal", "setseed", "nextval", "currval", "lastval", "setval", "gen_random_uuid", "gen_random_bytes",
	"uuidv4", "uuidv7", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "txid_current", "pg_current_xact_id", "pg_sleep", "pg_backend_pid"}

// volatile finds such functions in a condition, and in the queries within it.
func (l *linter) volatile(s []node) {
	for i, n := range s {
		called := i+1 < len(s) && s[i+1].parens()
		keyword := n.is("current_timestamp", "current_time", "current_date", "localtime", "localtimestamp")
		lock := strings.HasPrefix(n.text, "pg_advisory") || strings.HasPrefix(n.text, "pg_try_advisory")
		if n.name() && (called && (lock || slices.Contains(volatiles, n.text)) || keyword) {
			l.fault(RuleVolatile, "%s in the condition of an UPDATE or DELETE: pass the value as a parameter", n.text)
		}
		if n.kind == group {
			l.volatile(n.in)
		}
	}
}

// clauses cuts a query at its keywords, and returns what stands before the first of
// them. OFFSET and the like are there only so that others end.
func clauses(s []node) (head []node, by map[string][]node) {
	by = map[string][]node{}
	name, begin := "", 0
	cut := func(next string, end, from int) {
		if name == "" {
			head = s[begin:end]
		} else {
			by[name] = append(by[name], s[begin:end]...)
		}
		name, begin = next, from
	}
	for i, n := range s {
		next := i+1 < len(s)
		switch {
		case n.is("from") && i > 0 && s[i-1].is("distinct") && i > 1 && s[i-2].is("is", "not"): // IS DISTINCT FROM
		case i > 0 && s[i-1].is(".", "as"): // a name
		case n.is("from", "where", "having", "window", "limit", "offset", "fetch", "returning"):
			cut(n.text, i, i+1)
		case n.is("group", "order") && next && s[i+1].is("by"):
			cut(n.text, i, i+2)
		case n.is("for") && next && s[i+1].is("update", "share", "no", "key"):
			cut("for", i, i+1)
		}
	}
	cut("", len(s), len(s))
	return head, by
}

// tableName reads the name of a table at the beginning of s, without its schema, and
// returns what follows it.
func tableName(s []node) (string, []node) {
	for len(s) > 0 && s[0].is("only") {
		s = s[1:]
	}
	if len(s) == 0 || !s[0].name() {
		return "", s
	}
	name := s[0].text
	s = s[1:]
	for len(s) > 1 && s[0].is(".") && s[1].name() {
		name = s[1].text
		s = s[2:]
	}
	return name, s
}
