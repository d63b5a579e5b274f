package handlers

import (
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/web/templates"
)

// fact is one label beside an event with what stands under it, and nothing for
// an event that does not have it.
type fact func(v *visit, st *db.Stored) *templates.Fact

// detail is one table of names and values below an event.
type detail func(v *visit, st *db.Stored) *templates.Details

// line is a line of a fact that links to the list filtered by a value.
func (v *visit) line(st *db.Stored, field, key string) []templates.Span {
	value := st.Get(field)
	return []templates.Span{{Text: value, Href: v.listOf(st.Kind, key, value)}}
}

func whoFact(v *visit, st *db.Stored) *templates.Fact {
	name := who(st.Event)
	if name == "" {
		return &templates.Fact{Label: "Who", Lines: []templates.FactLine{{Spans: []templates.Span{quiet("not recorded")}}}}
	}
	f := &templates.Fact{Label: "Who", Lines: []templates.FactLine{{Spans: []templates.Span{{Text: name, Href: userPath(v, name)}}, Key: true}}}
	if id := st.Get("user_id"); id != "" && id != name {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain("id " + id + "; the name is of that time")}})
	}
	return f
}

func whenFact(v *visit, st *db.Stored) *templates.Fact {
	local := st.Time().In(v.zone)
	at := v.clock(st.Time(), fullTime)
	f := &templates.Fact{Label: "When", Lines: []templates.FactLine{
		{Time: &at, Key: true},
		{Spans: []templates.Span{plain(dayName(local))}},
		{Spans: []templates.Span{plain(ago(st.Time(), v.now))}},
	}}
	if o := offset(local); o != v.zone.String() {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(v.zone.String() + " (" + o + ")")}})
	}
	f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(audit.FormatTime(st.Time()))}, Mono: true})
	return f
}

func whereFact(v *visit, st *db.Stored) *templates.Fact {
	f := &templates.Fact{Label: "Where"}
	if st.Get("ip_address") != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: v.line(st, "ip_address", "ip")})
	}
	if place := joined(", ", st.Get("city"), st.Get("country")); place != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(place)}})
	}
	if agent := st.Get("user_agent"); agent != "" {
		if name := agentName(agent); name != "" {
			f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(name)}})
		}
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(agent)}, Fold: "user agent"})
	}
	if len(f.Lines) == 0 {
		return nil
	}
	return f
}

// joined joins what is not empty.
func joined(separator string, texts ...string) string {
	var some []string
	for _, text := range texts {
		if text != "" {
			some = append(some, text)
		}
	}
	return strings.Join(some, separator)
}

func moduleFact(v *visit, st *db.Stored) *templates.Fact {
	f := &templates.Fact{Label: "Module, type"}
	var spans []templates.Span
	if st.Get("module") != "" {
		spans = append(spans, v.line(st, "module", "module")...)
	}
	if st.Get("content_type") != "" {
		if len(spans) > 0 {
			spans = append(spans, plain(", "))
		}
		spans = append(spans, v.line(st, "content_type", "type")...)
	}
	if len(spans) == 0 {
		return nil
	}
	f.Lines = []templates.FactLine{{Spans: spans}}
	return f
}

func objectFact(v *visit, st *db.Stored) *templates.Fact {
	href := objectPath(v, st.Event)
	if href == "" {
		return nil
	}
	return &templates.Fact{Label: "Object", Lines: []templates.FactLine{
		{Spans: []templates.Span{{Text: objectName(st.Event), Href: href}}},
		{Spans: []templates.Span{plain(st.Get("content_type") + " " + st.Get("object_id"))}, Mono: true},
	}}
}

func codeFact(v *visit, st *db.Stored) *templates.Fact {
	f := &templates.Fact{Label: "In the code"}
	if st.Get("module") != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: v.line(st, "module", "module"), Mono: true})
	}
	if name := st.Get("function_name"); name != "" {
		spans := v.line(st, "function_name", "function")
		if n := st.Get("line_number"); n != "" {
			spans = append(spans, plain(", line "+n))
		}
		f.Lines = append(f.Lines, templates.FactLine{Spans: spans, Mono: true})
	}
	if st.Get("error_code") != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: append([]templates.Span{plain("code ")}, v.line(st, "error_code", "code")...)})
	}
	if len(f.Lines) == 0 {
		return nil
	}
	return f
}

func fileFact(v *visit, st *db.Stored) *templates.Fact {
	f := &templates.Fact{Label: "File"}
	if n, err := strconv.ParseInt(st.Get("record_count"), 10, 64); err == nil {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(plural(n, "row"))}, Key: true})
	}
	if n, err := strconv.ParseInt(st.Get("file_size"), 10, 64); err == nil {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(joined(", ", size(n), st.Get("file_format")))}})
	}
	if path := st.Get("file_path"); path != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(path)}, Mono: true})
	}
	if n, err := strconv.ParseInt(st.Get("download_count"), 10, 64); err == nil {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain("downloaded " + plural(n, "time"))}})
	}
	if len(f.Lines) == 0 {
		return nil
	}
	return f
}

func requestFact(v *visit, st *db.Stored) *templates.Fact {
	if st.Get("request_id") == "" {
		return nil
	}
	return &templates.Fact{Label: "Request", Lines: []templates.FactLine{{Spans: v.line(st, "request_id", "request"), Mono: true}}}
}

func sessionFact(v *visit, st *db.Stored) *templates.Fact {
	if st.Get("session_key") == "" {
		return nil
	}
	return &templates.Fact{Label: "Session", Lines: []templates.FactLine{{Spans: v.line(st, "session_key", "session"), Mono: true}}}
}

func recordFact(v *visit, st *db.Stored) *templates.Fact {
	f := &templates.Fact{Label: "Recorded"}
	at := v.clock(st.RecordedAt, dayAndTime)
	if db.ByDay.Start(st.RecordedAt.In(v.zone)).Equal(db.ByDay.Start(st.Time().In(v.zone))) {
		at = v.clock(st.RecordedAt, fullTime)
	}
	after := span(st.Late()) + " after it happened"
	if d := st.Late(); d < 0 {
		after = span(-d) + " before it happened: one of the two clocks was wrong"
	}
	entry := []templates.Span{plain("entry #" + number(st.Seq))}
	if st.Source != "" {
		entry = append(entry, plain(" through "), templates.Span{Text: st.Source, Href: v.listOf(st.Kind, "source", st.Source)})
	}
	f.Lines = append(f.Lines, templates.FactLine{Time: &at}, templates.FactLine{Spans: []templates.Span{plain(after)}}, templates.FactLine{Spans: entry})
	if st.EventID != "" {
		f.Lines = append(f.Lines, templates.FactLine{Spans: []templates.Span{plain(st.EventID)}, Mono: true})
	}
	return f
}

func metadataDetail(v *visit, st *db.Stored) *templates.Details {
	return membersDetail("Metadata", st.Get("metadata"))
}

func filtersDetail(v *visit, st *db.Stored) *templates.Details {
	raw := st.Get("filters_applied")
	d := membersDetail("Filters applied", raw)
	if d == nil && raw != "" {
		d = &templates.Details{Title: "Filters applied", Note: "none: everything was exported"}
	}
	return d
}

// membersDetail is a table of the members of a JSON object; another JSON value
// is one row, and an empty one nothing.
func membersDetail(title, raw string) *templates.Details {
	switch strings.TrimSpace(raw) {
	case "", "{}", "[]", "null":
		return nil
	}
	d := &templates.Details{Title: title}
	for _, m := range membersOf(raw) {
		d.Rows = append(d.Rows, templates.Detail{Name: m.name, Value: jsonValue(m.raw)})
	}
	if len(d.Rows) == 0 {
		d.Rows = []templates.Detail{{Name: "value", Value: jsonValue(raw)}}
	}
	return d
}

// valueLimit is how much of a value is shown at once; the rest folds.
const valueLimit = 300

// jsonValue shows a JSON value: a string as its text, anything else as JSON.
func jsonValue(raw string) templates.Value {
	p := plainOf(raw)
	switch {
	case p.masked:
		return templates.Value{Spans: []templates.Span{{Text: p.text, Class: templates.Masked}}}
	case p.missing:
		return templates.Value{Spans: []templates.Span{quiet("nothing")}}
	case p.nested:
		v := textValue(p.text)
		v.Mono = true
		if len(v.Full) > 0 {
			v.Full = []templates.Span{plain(indented(p.text))}
		}
		return v
	}
	return textValue(p.text)
}

// textValue shows a text, folded where it is long.
func textValue(text string) templates.Value {
	if len(text) <= valueLimit && strings.Count(text, "\n") < 8 {
		return templates.Value{Spans: []templates.Span{plain(text)}}
	}
	return templates.Value{Spans: []templates.Span{plain(cut(text, valueLimit))}, Full: []templates.Span{plain(text)}, Size: allOf(text)}
}
