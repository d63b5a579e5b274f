package sqllint

import "slices"

// block is one query without those inside it: its tables, and what is said of them.
type block struct {
	*linter
	tables     []*table
	conditions []condition
}

// table is what a query reads from.
type table struct {
	name    string // without its schema; of a query or function, what it is
	alias   string
	derived bool // a query, a function or a CTE
	settled bool // no more of it is read than a bound lets through
}

// condition is what has to hold, for some of the tables.
type condition struct {
	nodes []node
	using []string // the columns of USING
	of    []*table // nil is all
}

// joins begin what joins another table.
var joins = []string{"join", "inner", "left", "right", "full", "cross", "natural"}

// from reads a list of tables. The condition of an outer join bounds only the side
// that may be missing.
func (b *block) from(s []node) {
	side := "" // of the join at hand
	first := len(b.tables)
	for len(s) > 0 {
		left := slices.Clone(b.tables[first:])
		switch {
		case s[0].is(","):
			side, s = "", s[1:]
			continue
		case s[0].is("lateral", "rows"):
			s = s[1:]
			continue
		case s[0].is(joins...) || s[0].is("outer"):
			if s[0].is("left", "right", "full") {
				side = s[0].text
			} else if !s[0].is("join", "outer") {
				side = ""
			}
			s = s[1:]
			continue
		}
		rest := b.table(s)
		if len(rest) == len(s) {
			b.fault(RuleUnread, "a list of tables with %q", s[0].text)
			return
		}
		s = rest
		right := slices.Clone(b.tables[first+len(left):])
		if len(s) == 0 || !s[0].is("on", "using") {
			continue
		}
		of := append(left, right...)
		switch side {
		case "left":
			of = right
		case "right":
			of = left
		case "full":
			of = []*table{}
		}
		if s[0].is("using") {
			c := condition{of: of}
			if len(s) > 1 {
				for _, n := range s[1].in {
					if n.name() {
						c.using = append(c.using, n.text)
					}
				}
				s = s[1:]
			}
			b.conditions = append(b.conditions, c)
			s, side = s[1:], ""
			continue
		}
		end := 1
		for end < len(s) && !s[end].is(",", "on", "using") && !(s[end].is(joins...) && !(s[end].is("left", "right") && end+1 < len(s) && s[end+1].parens())) {
			end++
		}
		b.conditions = append(b.conditions, condition{nodes: s[1:end], of: of})
		b.groups(s[1:end])
		s, side = s[end:], ""
	}
}

// table reads one table of a list, with its alias, and returns what follows.
func (b *block) table(s []node) []node {
	t := &table{}
	switch {
	case s[0].query():
		t.derived, t.settled, t.name = true, b.query(s[0].in), "the query"
		s = s[1:]
	case s[0].parens(): // tables that are joined first
		b.from(s[0].in)
		s = s[1:]
		t = nil
	default:
		name, rest := tableName(s)
		if name == "" {
			return s
		}
		s = rest
		t.name = name
		bounded, cte := b.ctes[name]
		switch {
		case len(s) > 0 && s[0].parens(): // a function
			b.groups(s[0].in)
			t.derived, t.settled = true, true
			s = s[1:]
		case cte:
			t.derived, t.settled = true, bounded
		default:
			t.settled = !b.isEvents(name) && !b.isLedger(name)
		}
	}
	alias := ""
	for len(s) > 0 {
		switch {
		case s[0].is("*"), s[0].is("as"):
			s = s[1:]
			continue
		case s[0].is("tablesample") && len(s) > 2:
			s = s[3:]
			continue
		case s[0].is("with") && len(s) > 1 && s[1].is("ordinality"):
			s = s[2:]
			continue
		}
		if alias != "" || !s[0].name() || s[0].is(joins...) || s[0].is("on", "using", "outer", "lateral", "repeatable") {
			break
		}
		alias = s[0].text
		s = s[1:]
		if len(s) > 0 && s[0].parens() { // names of columns
			s = s[1:]
		}
	}
	if t != nil {
		if t.alias = alias; alias == "" {
			t.alias = t.name
		}
		b.tables = append(b.tables, t)
	}
	return s
}

// within judges the queries in an expression of the block.
func (b *block) within(s []node) {
	b.outer = append(b.outer, b)
	b.groups(s)
	b.outer = b.outer[:len(b.outer)-1]
}

// apart says where event tables and those beside them cannot be asked together.
func (b *block) apart() {
	for _, t := range b.tables {
		if t.derived || !b.isEvents(t.name) {
			continue
		}
		for _, c := range b.conditions {
			if o := b.local(c.nodes); o != nil {
				b.fault(RuleCorrelated, "%s is asked for a row of %s at a time: take the events first, in a query of their own", t.name, o.name)
			}
		}
		for _, o := range b.tables {
			if !o.derived && b.isLedger(o.name) && !b.fixed(t) && !b.alone(o) {
				b.fault(RuleShipped, "the whole ledger is sent to where %s is: take the events first, in a query of their own, or bound the ledger by itself", t.name)
			}
		}
	}
}

// local returns a table of an outer query that is on one machine, of which a condition
// names a column, or nil.
func (b *block) local(s []node) *table {
	for i := 0; i < len(s); i++ {
		if s[i].kind == group {
			if o := b.local(s[i].in); o != nil {
				return o
			}
			continue
		}
		ref, n := reference(s[i:])
		if n == 0 {
			continue
		}
		i += n - 1
		if len(ref) < 2 || b.by(ref[len(ref)-2]) != nil {
			continue
		}
		for at := len(b.outer) - 1; at >= 0; at-- {
			if o := b.outer[at].by(ref[len(ref)-2]); o != nil {
				if !b.isEvents(o.name) {
					return o
				}
				break
			}
		}
	}
	return nil
}

// alone reports whether a table is bounded by values and nothing of the other tables.
func (b *block) alone(t *table) bool {
	by := block{linter: b.linter, tables: []*table{t}}
	for _, o := range b.tables {
		if o != t {
			by.tables = append(by.tables, &table{name: o.name, alias: o.alias, derived: o.derived})
		}
	}
	return slices.ContainsFunc(b.conditions, func(c condition) bool {
		return (c.of == nil || slices.Contains(c.of, t)) && by.bounds(c.nodes, t, false)
	})
}

// settle finds out which tables are bounded, one by the other, says which event
// tables are not, and reports whether all are. A query that is alone with its event
// table may ask for the ends of its key.
func (b *block) settle(endsOnly func() bool) bool {
	for again := true; again; {
		again = false
		for _, t := range b.tables {
			if !t.settled && slices.ContainsFunc(b.conditions, func(c condition) bool { return b.holds(c, t) }) {
				t.settled, again = true, true
			}
		}
	}
	if len(b.tables) == 1 && !b.tables[0].settled && endsOnly() {
		b.tables[0].settled = true
	}
	b.apart()
	all := true
	for _, t := range b.tables {
		all = all && t.settled
		if !t.settled && b.isEvents(t.name) && !t.derived {
			b.fault(RuleBound, "%s is read without a bound on id", t.name)
		}
	}
	return all
}

// holds reports whether a condition bounds a table.
func (b *block) holds(c condition, t *table) bool {
	if t.derived || c.of != nil && !slices.Contains(c.of, t) {
		return false
	}
	for _, column := range c.using {
		if b.key(t, column) && slices.ContainsFunc(b.tables, func(o *table) bool { return o != t && o.settled }) {
			return true
		}
	}
	return b.bounds(c.nodes, t, false)
}

// key reports whether a column bounds what is read of a table.
func (b *block) key(t *table, column string) bool {
	return column == "id" || column == "seq" && b.isLedger(t.name)
}

// bounds reports whether a condition as a whole bounds a table; with fixed, whether
// it lets one id through alone.
func (b *block) bounds(s []node, t *table, fixed bool) bool {
	if parts := split(s, "or"); len(parts) > 1 {
		return !fixed && !slices.ContainsFunc(parts, func(p []node) bool { return !b.bounds(p, t, fixed) })
	}
	for _, p := range split(s, "and") {
		if len(p) == 1 && p[0].parens() && !p[0].query() {
			if b.bounds(p[0].in, t, fixed) {
				return true
			}
			continue
		}
		if b.compares(p, t, fixed) {
			return true
		}
	}
	return false
}

// fixed reports whether a table is read by one id.
func (b *block) fixed(t *table) bool {
	return slices.ContainsFunc(b.conditions, func(c condition) bool {
		return (c.of == nil || slices.Contains(c.of, t)) && b.bounds(c.nodes, t, true)
	})
}

// split cuts a condition at AND or OR. The AND of a BETWEEN belongs to that.
func split(s []node, at string) (parts [][]node) {
	begin, between := 0, false
	for i, n := range s {
		switch {
		case n.is("between"):
			between = true
		case n.is("and") && between:
			between = false
		case n.is(at):
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:])
}

// compares reports whether one comparison bounds a table.
func (b *block) compares(s []node, t *table, fixed bool) bool {
	operators := []string{"=", "<", "<=", ">", ">="}
	if fixed {
		operators = operators[:1]
	}
	if n := b.column(s, t); n > 0 && n < len(s) {
		op, value := s[n], s[n+1:]
		switch {
		case op.is(operators...):
			if len(value) == 2 && value[0].is("any", "some") { // by a subquery: like IN
				return !fixed && value[1].query() && b.query(value[1].in)
			}
			if len(value) == 2 && value[0].is("all") {
				return false
			}
			return b.value(value, t, fixed)
		case op.is("between") && !fixed:
			if len(value) > 0 && value[0].is("symmetric", "asymmetric") {
				value = value[1:]
			}
			at := slices.IndexFunc(value, func(n node) bool { return n.is("and") })
			return at > 0 && b.value(value[:at], t, false) && b.value(value[at+1:], t, false)
		case op.is("in") && !fixed && len(value) == 1 && value[0].parens():
			if value[0].query() {
				return b.query(value[0].in)
			}
			return b.value(value[0].in, t, false)
		}
		return false
	}
	for n := 1; n+1 < len(s); n++ { // value, operator, column
		if s[n].is(operators...) && b.column(s[n+1:], t) == len(s)-n-1 {
			return b.value(s[:n], t, fixed)
		}
	}
	return false
}

// column returns how many nodes at the beginning of s name the key of a table, or 0.
func (b *block) column(s []node, t *table) int {
	ref, n := reference(s)
	if n == 0 || !b.key(t, ref[len(ref)-1]) || n < len(s) && (s[n].kind == group || s[n].is("::")) {
		return 0
	}
	if len(ref) > 1 {
		if ref[len(ref)-2] != t.alias {
			return 0
		}
		return n
	}
	// Without a table's name it can only be that of one table that has the column.
	has := 0
	for _, o := range b.tables {
		if b.isEvents(o.name) || b.isLedger(o.name) || len(b.tables) == 1 {
			has++
		}
	}
	if len(b.tables) > 1 && has > 1 {
		return 0
	}
	return n
}

// reference reads the name of a column at the beginning of s, and how many nodes
// that are.
func reference(s []node) (parts []string, n int) {
	if len(s) == 0 || !s[0].name() || s[0].is(keywords...) {
		return nil, 0
	}
	parts, n = []string{s[0].text}, 1
	for n+1 < len(s) && s[n].is(".") && s[n+1].name() {
		parts = append(parts, s[n+1].text)
		n += 2
	}
	return parts, n
}

// keywords are words of expressions that name no column.
var keywords = []string{"null", "true", "false", "and", "or", "not", "is", "in", "between", "like", "ilike", "as", "cast", "array", "distinct", "from", "when",
	"then", "else", "exists", "any", "some", "all", "interval", "timestamp", "timestamptz", "date", "at", "time", "zone", "collate", "symmetric",
	"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"}

// value reports whether an expression is known before the table is read: it has no
// column of it, nor of one that is not bounded.
func (b *block) value(s []node, t *table, fixed bool) bool {
	if len(s) == 0 {
		return false
	}
	for i := 0; i < len(s); {
		if s[i].query() { // a query for one value
			if fixed {
				return false
			}
			i++
			continue
		}
		if s[i].kind == group {
			if len(s[i].in) > 0 && !b.value(s[i].in, t, fixed) {
				return false
			}
			i++
			continue
		}
		if s[i].is("::", "as") { // a type
			i++
			if _, n := reference(s[i:]); n > 0 {
				i += n
			}
			continue
		}
		ref, n := reference(s[i:])
		if n == 0 {
			i++
			continue
		}
		i += n
		if i < len(s) && s[i].parens() { // a function
			continue
		}
		if len(ref) == 1 || fixed {
			return false // without a table's name, whose column that is cannot be told
		}
		if other := b.by(ref[len(ref)-2]); other == t || other != nil && !other.settled {
			return false
		}
	}
	return true
}

// by returns the table with an alias, or nil where that is of an outer query.
func (b *block) by(alias string) *table {
	for _, t := range b.tables {
		if t.alias == alias {
			return t
		}
	}
	return nil
}

// ends reports whether a list of columns asks for min(id) and max(id) and nothing
// else.
func ends(s []node) bool {
	found := false
	for i := 0; i < len(s); i++ {
		n := s[i]
		called := i+1 < len(s) && s[i+1].parens()
		switch {
		case n.is("min", "max") && called:
			ref, length := reference(s[i+1].in)
			if length == 0 || length != len(s[i+1].in) || ref[len(ref)-1] != "id" {
				return false
			}
			found = true
			i++
		case n.is("coalesce", "greatest", "least", "cast") && called:
			inner := s[i+1].in
			if at := slices.IndexFunc(inner, func(n node) bool { return n.is("as") }); n.is("cast") && at >= 0 {
				inner = inner[:at]
			}
			found = ends(inner) || found
			if !ends(inner) {
				return false
			}
			i++
		case n.is("as", "::") && i+1 < len(s): // a name or a type
			i++
		case n.query(), n.kind == literal, n.kind == param, n.is(",", "+", "-"):
		default:
			return false
		}
	}
	return found
}
