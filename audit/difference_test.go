package audit

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

type address struct {
	City   string `json:"city"`
	Street string
}

type customer struct {
	ID   int
	Name string
}

func (c *customer) String() string { return c.Name }

type state int

func (s state) String() string { return [...]string{"open", "paid"}[s] }

type base struct {
	ID        int64
	CreatedAt time.Time
}

type order struct {
	base
	Total    string          `json:"total"`
	Note     *string         `db:"note"`
	Column   int             `gorm:"column:col;not null"`
	Internal string          `audit:"-"`
	Renamed  string          `audit:"label" json:"other"`
	Pin      string          `audit:"mask"`
	Card     string          `audit:"card_no,mask"`
	Hidden   string          `json:"-"`
	At       time.Time       `json:"at"`
	Customer *customer       `json:"customer"`
	Ship     address         `json:"ship"`
	Bill     *address        `json:"bill"`
	State    state           `json:"state"`
	Tags     []string        `json:"tags"`
	Extra    map[string]any  `json:"extra"`
	Raw      json.RawMessage `json:"raw"`
	Null     sql.NullString  `json:"null"`
	Blob     []byte          `json:"blob"`
	Weight   float32         `json:"weight"`
	Big      big.Int         `json:"big"`
	Children []*order        `json:"children"`
	Parent   *order          `json:"parent"`
	Callback func()
	unseen   int
}

func TestDiff(t *testing.T) {
	note, other := "hello", "world"
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	paris := at.In(time.FixedZone("Paris", 3600))
	for _, test := range []struct {
		name          string
		before, after any
		want          Changes
	}{
		{"nothing", order{}, order{}, nil},
		{"nil and nil", nil, nil, nil},
		{"nil pointers", (*order)(nil), nil, nil},
		{"by json tag", order{Total: "1"}, order{Total: "2"}, Changes{"total": {"1", "2"}}},
		{"pointer and value", &order{Total: "1"}, order{Total: "2"}, Changes{"total": {"1", "2"}}},
		{"pointer field by db tag", order{Note: &note}, order{Note: &other}, Changes{"note": {"hello", "world"}}},
		{"pointer field to nil", order{Note: &note}, order{}, Changes{"note": {"hello", nil}}},
		{"equal behind pointers", order{Note: &note}, order{Note: new("hello")}, nil},
		{"gorm column", order{Column: 1}, order{Column: 2}, Changes{"col": {int64(1), int64(2)}}},
		{"left out", order{Internal: "1", unseen: 1, Callback: func() {}}, order{Internal: "2"}, nil},
		{"renamed", order{Renamed: "1"}, order{Renamed: "2"}, Changes{"label": {"1", "2"}}},
		{"hidden from JSON, not from the audit", order{Hidden: "1"}, order{Hidden: "2"}, Changes{"Hidden": {"1", "2"}}},
		{"masked", order{Pin: "1234", Card: ""}, order{Pin: "4321", Card: "99"}, Changes{"Pin": {Mask, Mask}, "card_no": {"", Mask}}},
		{"embedded", order{base: base{ID: 1}}, order{base: base{ID: 2}}, Changes{"ID": {int64(1), int64(2)}}},
		{"the same instant elsewhere", order{At: at}, order{At: paris}, nil},
		{"time", order{At: at}, order{At: at.Add(time.Millisecond)}, Changes{"at": {"2026-03-01T12:00:00Z", "2026-03-01T12:00:00.001Z"}}},
		{"related by its text", order{Customer: &customer{1, "Ann"}}, order{Customer: &customer{2, "Bob"}}, Changes{"customer": {"Ann", "Bob"}}},
		{"related to nil", order{Customer: &customer{1, "Ann"}}, order{}, Changes{"customer": {"Ann", nil}}},
		{"nested", order{Ship: address{"Paris", "a"}}, order{Ship: address{"Lyon", "a"}}, Changes{"ship.city": {"Paris", "Lyon"}}},
		{"nested from nil", order{}, order{Bill: &address{City: "Lyon"}}, Changes{"bill.city": {nil, "Lyon"}, "bill.Street": {nil, ""}}},
		{"enumeration", order{State: 0}, order{State: 1}, Changes{"state": {"open", "paid"}}},
		{"list", order{Tags: []string{"a"}}, order{Tags: []string{"a", "b"}}, Changes{"tags": {[]any{"a"}, []any{"a", "b"}}}},
		{"nil and empty list", order{}, order{Tags: []string{}}, nil},
		{"map", order{Extra: map[string]any{"a": 1, "b": 2}}, order{Extra: map[string]any{"a": 1, "b": 3, "c": nil}}, Changes{"extra.b": {int64(2), int64(3)}}},
		{"raw JSON", order{Raw: json.RawMessage(`{"a": 1.10}`)}, order{Raw: json.RawMessage(`{"a":1.10}`)}, nil},
		{"raw JSON with other digits", order{Raw: json.RawMessage(`1.1`)}, order{Raw: json.RawMessage(`1.10`)}, Changes{"raw": {json.Number("1.1"), json.Number("1.10")}}},
		{"what goes into a database", order{}, order{Null: sql.NullString{String: "x", Valid: true}}, Changes{"null": {nil, "x"}}},
		{"bytes that are text", order{Blob: []byte("a")}, order{Blob: []byte("b")}, Changes{"blob": {"a", "b"}}},
		{"bytes", order{Blob: []byte("a")}, order{Blob: []byte{0}},
			Changes{"blob": {"a", "1 bytes, SHA-256 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}}},
		{"float32", order{Weight: 0.1}, order{Weight: 0.2}, Changes{"weight": {0.1, 0.2}}},
		{"a text by pointer", order{Big: *big.NewInt(1)}, order{Big: *big.NewInt(2)}, Changes{"big": {"1", "2"}}},
		{"maps", map[string]any{"a": 1, "b": "x"}, map[string]any{"a": int64(1), "b": "y"}, Changes{"b": {"x", "y"}}},
		{"maps of other keys", map[int]bool{1: true}, map[int]bool{1: false}, Changes{"1": {true, false}}},
		{"creation", nil, map[string]any{"a": 1, "b": nil}, Changes{"a": {nil, int64(1)}}},
		{"deletion", map[string]string{"a": "x"}, nil, Changes{"a": {"x", nil}}},
		{"an object with a text is not one at the top", &customer{1, "Ann"}, &customer{1, "Bob"}, Changes{"Name": {"Ann", "Bob"}}},
		{"plain values", 1, 2, Changes{"value": {int64(1), int64(2)}}},
		{"a text that panics", map[string]any{"p": panicky{}}, map[string]any{"p": 1}, Changes{"p": {"(audit.panicky panicked: no)", int64(1)}}},
		{"an error", map[string]any{"e": errors.New("a")}, map[string]any{"e": errors.New("b")}, Changes{"e": {"a", "b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(test.before, test.after)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("it is no JSON: %v", err)
			}
		})
	}
}

func TestDiffOfObjectsThatReferToEachOther(t *testing.T) {
	make := func(total string) *order {
		o := &order{Total: total}
		o.Parent = o
		for range 30 {
			o.Children = append(o.Children, &order{Parent: o, Children: []*order{o, {Parent: o, Total: total}}})
		}
		return o
	}
	done := time.AfterFunc(20*time.Second, func() { panic("it goes round in circles") })
	defer done.Stop()
	got := Diff(make("1"), make("2"))
	if got["total"] != (Values{"1", "2"}) || got["children"] == (Values{}) {
		t.Errorf("got %v", got)
	}
	loop := map[string]any{}
	loop["me"] = loop
	if got := Diff(loop, nil); got != nil {
		t.Errorf("got %v, want nothing", got)
	}
	type ring struct{ Any any }
	around := &ring{}
	around.Any = &around.Any // refers to itself by pointers alone
	if got := Diff(nil, around); len(got) > 1 {
		t.Errorf("got %v, want the one field at most", got)
	}
}

func TestDiffOfTheRecorderHasFingerprints(t *testing.T) {
	r := strict(t, &memory{}, MaskKey([]byte("key")))
	got := r.Diff(order{Pin: "1", Card: "x"}, order{Pin: "2", Card: "y"})
	was, is := got["Pin"].Old.(string), got["Pin"].New.(string)
	if MaskFingerprint(was) == "" || MaskFingerprint(is) == "" || was == is || strings.Contains(was+is, "1234") {
		t.Errorf("got %q and %q, want two fingerprints", was, is)
	}
}

func FuzzDiff(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":[1,2,{"c":null}]}}`)
	f.Add(`[]`, `3`)
	f.Fuzz(func(t *testing.T, before, after string) {
		var b, a any
		if json.Unmarshal([]byte(before), &b) != nil || json.Unmarshal([]byte(after), &a) != nil {
			t.Skip("no JSON")
		}
		if got := Diff(b, b); got != nil {
			t.Errorf("an object differs from itself: %v", got)
		}
		there, back := Diff(b, a), Diff(a, b)
		if len(there) != len(back) {
			t.Errorf("got %v there and %v back", there, back)
		}
		for name, v := range there {
			if w := back[name]; !reflect.DeepEqual(v, Values{w.New, w.Old}) {
				t.Errorf("%s: got %v there and %v back", name, v, w)
			}
		}
	})
}
