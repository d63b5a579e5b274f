package format

import (
	"encoding/json"
	"strings"

	"github.com/auditadmin/auditadmin/audit"
)

// djangoChanges brings the changes of any library into the form of ours. Known
// are {"field": [old, new]}, {"field": {"old": …, "new": …}}, django-auditlog's
// {"field": {"type": "m2m", "operation": …, "objects": […]}}, and, as the
// README of the Django Audit Library has it, {"field": new}. A value that is
// the text "None" is null: it is how those libraries write it.
func djangoChanges(text string) string {
	all, ok := members(text)
	if !ok {
		return ""
	}
	var changes jsonObject
	for _, m := range all {
		changes.raw(m.key, djangoChange(m.value))
	}
	return changes.String()
}

func djangoChange(raw string) string {
	var pair jsonObject
	if values, ok := elements(raw); ok && len(values) == 2 {
		pair.raw("old", noneIsNull(values[0]))
		pair.raw("new", noneIsNull(values[1]))
		return pair.String()
	}
	parts, ok := members(raw)
	if !ok {
		pair.raw("new", raw)
		return pair.String()
	}
	if objects := find(parts, "objects"); objects != "" && plain(find(parts, "type")) == "m2m" {
		switch plain(find(parts, "operation")) {
		case "add":
			pair.raw("new", objects)
		default: // delete, clear
			pair.raw("old", objects)
		}
		return pair.String()
	}
	before, after := find(parts, "old"), find(parts, "new")
	if before == "" && after == "" {
		pair.raw("new", raw)
		return pair.String()
	}
	pair.raw("old", before)
	pair.raw("new", after)
	return pair.String()
}

func noneIsNull(raw string) string {
	if raw == `"None"` {
		return "null"
	}
	return raw
}

// snapshotFields returns the fields within what Django's serializers make of
// one object: [{"model": …, "pk": …, "fields": {…}}]. What is not of that form
// is returned as it is, as JSON.
func snapshotFields(text string) string {
	if text == "" || text == "null" {
		return ""
	}
	list, ok := elements(text)
	if ok && len(list) == 1 {
		if parts, ok := members(list[0]); ok {
			if fields := find(parts, "fields"); fields != "" {
				return fields
			}
		}
	}
	return jsonOrText(text)
}

// wholeChange makes changes of all fields of an object that came or went.
func wholeChange(fields string, gone bool) string {
	all, ok := members(fields)
	if !ok {
		return ""
	}
	var changes jsonObject
	for _, m := range all {
		if gone {
			changes.raw(m.key, `{"old":`+m.value+`,"new":null}`)
		} else {
			changes.raw(m.key, `{"old":null,"new":`+m.value+`}`)
		}
	}
	return changes.String()
}

// adminMessage says in words what the admin's change_message says, and returns
// the changed fields as a JSON array. Since Django 1.10 the message is JSON,
// before it was words.
func adminMessage(message string) (said, fields string) {
	list, ok := elements(message)
	if !ok {
		return message, ""
	}
	var sentences []string
	var all []string
	for _, item := range list {
		parts, ok := members(item)
		if !ok || len(parts) != 1 {
			return message, ""
		}
		details, ok := members(parts[0].value)
		if !ok {
			return message, ""
		}
		verb := strings.ToUpper(parts[0].key[:min(1, len(parts[0].key))]) + parts[0].key[min(1, len(parts[0].key)):]
		sentence := verb
		names, _ := elements(find(details, "fields"))
		if len(names) > 0 {
			words := make([]string, len(names))
			for i, name := range names {
				words[i] = plain(name)
			}
			sentence += " " + andList(words)
		}
		if object := plain(find(details, "object")); object != "" {
			if len(names) > 0 {
				sentence += " of"
			}
			sentence += " " + plain(find(details, "name")) + ` "` + object + `"`
		}
		if find(details, "object") == "" {
			all = append(all, names...)
		}
		sentences = append(sentences, sentence+".")
	}
	if len(all) > 0 {
		fields = "[" + strings.Join(all, ",") + "]"
	}
	return strings.Join(sentences, " "), fields
}

func andList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// jsonOrText returns text as it is where it is JSON already, else as a string.
func jsonOrText(text string) string {
	if text == "" || json.Valid([]byte(text)) {
		return text
	}
	return quote(text)
}

// word makes an action of any name: upper case, and an underscore for
// everything that a word may not have.
func word(name string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(name) {
		switch {
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	return strings.TrimRight(b.String()[:min(b.Len(), maxWord)], "_")
}

// maxWord is how long an action may be.
const maxWord = 64

// mergeMetadata adds members to the metadata of an event.
func mergeMetadata(e *audit.Event, more jsonObject) {
	added, ok := members(more.String())
	if !ok {
		return
	}
	var all jsonObject
	given := e.Get("metadata")
	if list, ok := members(given); ok {
		for _, m := range list {
			all.raw(m.key, m.value)
		}
	} else {
		all.raw("value", given)
	}
	for _, m := range added {
		all.raw(m.key, m.value)
	}
	e.Set("metadata", all.String())
}

// formFields returns what axes keeps of a form, one "name=value" a line, as a
// JSON object, so that a password in it is masked by its name. What is not of
// that form is returned as JSON text, and nothing as "".
func formFields(text string) string {
	lines := strings.Split(text, "\n")
	if len(lines) < 2 {
		return jsonOrText(text)
	}
	var fields jsonObject
	seen := map[string]bool{}
	for _, line := range lines {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), "=")
		if !ok || name == "" || seen[name] {
			return jsonOrText(text)
		}
		seen[name] = true
		fields.raw(name, quote(value))
	}
	return fields.String()
}
