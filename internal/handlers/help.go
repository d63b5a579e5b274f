package handlers

import (
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/query"
	"github.com/auditadmin/auditadmin/web/templates"
)

// examples are whole queries of each kind; what they ask is said by the parser.
var examples = map[audit.Kind][]string{
	audit.KindAuditLog: {`action:DELETE last:7d`, `user:alice,bob -module:auth`, `type:shop.order object:42`, `field:price new:"12.50"`,
		`ip:203.0.113.0/24 after:2026-03-01 before:2026-04-01`, `"gift card"`},
	audit.KindLoginAttempt: {`status:FAILED last:24h`, `user:root status:FAILED,BLOCKED`, `ip:203.0.113.0/24`, `-country:FR status:SUCCESS`},
	audit.KindDataExport:   {`rows:>1000 last:30d`, `size:>=1MB`, `user:alice format:csv`},
	audit.KindSystemEvent:  {`event:ERROR is:unresolved`, `module:checkout last:24h`, `event:SECURITY -is:resolved`, `"deadlock detected"`},
}

// queryHelp explains the query language of one kind, from the table that the
// parser itself reads.
func (s *Server) queryHelp(v *visit) (templ.Component, error) {
	kind := audit.KindAuditLog
	if name := v.params.Get("kind"); name != "" {
		var known bool
		if kind, known = audit.ParseKind(name); !known {
			return nil, refuse(http.StatusBadRequest, "kind=%s is not a kind of event", short(name))
		}
	}
	page := templates.HelpPage{Text: strings.Join(query.Searchable(kind), ", ")}
	for _, k := range audit.Kinds() {
		page.Kinds = append(page.Kinds, templates.Link{Text: sentenceCase(k.Plural()), Href: address("/query-help", "kind", string(k)), Current: k == kind})
	}
	for _, f := range query.Fields(kind) {
		page.Fields = append(page.Fields, templates.HelpField{Key: f.Key, Label: f.Label, Doc: f.Doc, Example: f.Example, Href: v.listQuery(kind, f.Example)})
	}
	for _, q := range examples[kind] {
		f, err := v.parse(kind, q)
		if err != nil {
			return nil, err
		}
		page.Examples = append(page.Examples, templates.HelpExample{Query: q, Says: f.Sentence(), Href: v.listQuery(kind, q)})
	}
	page.Layout = v.layout("Query help: " + kind.Plural())
	page.Search = v.searchBox(kind, "", false)
	return templates.Help(page), nil
}
