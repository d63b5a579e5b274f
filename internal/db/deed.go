package db

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/auditadmin/auditadmin/audit"
)

// Record stores an event of the program itself: module and source are its own,
// and who, from where and in which request are the actor's where the event does
// not say them.
func (s *Store) Record(ctx context.Context, actor Actor, e *audit.Event) error {
	actor.sign(e)
	if e.Get("timestamp") == "" {
		e.SetTime(s.now())
	}
	if err := e.Normalize(s.now()); err != nil {
		return fmt.Errorf("record own %s: %w", e.Kind.Singular(), err)
	}
	if s.Hindrance() != nil { // when events have to wait, the program's own come first
		return s.write(ctx, "record own "+e.Kind.Singular(), func(tx *writeTx) error {
			_, err := tx.append([]*audit.Event{e})
			return err
		})
	}
	_, err := s.Append(ctx, []*audit.Event{e})
	return err
}

// sign fills in who does what the event says.
func (by Actor) sign(e *audit.Event) {
	e.Source = Self
	for _, f := range []struct{ field, value string }{
		{"module", Self},
		{"username", by.Name},
		{"user_id", by.id()},
		{"ip_address", by.Address},
		{"country", by.Country},
		{"city", by.City},
		{"user_agent", by.UserAgent},
		{"request_id", by.RequestID},
		{"session_key", by.SessionID},
	} {
		if e.Has(f.field) && e.Get(f.field) == "" {
			e.Set(f.field, f.value)
		}
	}
}

func (by Actor) id() string {
	if by.AccountID == 0 {
		return ""
	}
	return strconv.FormatInt(by.AccountID, 10)
}

// stored is a text that somebody typed as every engine stores it, which is also
// what is vouched for: UTF-8, and U+2400 for U+0000.
func stored(text string) string {
	if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\u2400")
}

// object names what a deed was done to.
type object struct{ kind, id, name string }

// eventObject names an event as the object of a deed.
func eventObject(kind audit.Kind, id int64) object {
	text := strconv.FormatInt(id, 10)
	return object{Self + "." + string(kind), text, kind.Singular() + " " + text}
}

// changes are what a deed changed, by field: before and after. No secret and no
// hash ever stands in them.
type changes map[string]change

type change struct{ Old, New any }

// MarshalJSON writes the form that audit logs keep.
func (c change) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Old any `json:"old"`
		New any `json:"new"`
	}{c.Old, c.New})
}

// deed is the audit log of what an actor did to something of the admin's own.
func (by Actor) deed(action string, o object, c changes) *audit.Event {
	e := audit.NewEvent(audit.KindAuditLog)
	by.sign(e)
	e.Set("action", action)
	e.Set("content_type", o.kind)
	e.Set("object_id", o.id)
	e.Set("object_repr", stored(o.name)) // of a file, whose name may be any bytes
	if len(c) > 0 {
		text, err := json.Marshal(c)
		if err != nil {
			panic("db: changes that are no JSON: " + err.Error())
		}
		e.Set("changes", string(text))
	}
	return e
}
