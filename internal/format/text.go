package format

import (
	"strconv"

	"github.com/auditadmin/auditadmin/audit"
)

// shorten cuts a text to so many letters, with an ellipsis as the last.
func shorten(text string, letters int) string {
	n := 0
	for i := range text {
		if n++; n == letters {
			if rest := text[i:]; len([]rune(rest)) > 1 {
				return text[:i] + "…"
			}
		}
	}
	return text
}

func itoa(n int) string { return strconv.Itoa(n) }

// addMetadata adds a member, given as JSON, to the metadata of an event.
func addMetadata(e *audit.Event, key, value string) {
	all, _ := members(e.Get("metadata"))
	var o jsonObject
	for _, m := range all {
		o.raw(m.key, m.value)
	}
	o.raw(key, value)
	e.Set("metadata", o.String())
}
