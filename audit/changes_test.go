package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzPassed holds that what a scanner has passed is read as the scanner reads it.
func FuzzPassed(f *testing.F) {
	for _, s := range []string{
		`{}`, `{ }`, `{"old":1,"new":2}`, "{ \"old\" :\t1 ,\r\n \"new\": \"2\" }", `{"old":{"a":[1,{"b":"}"}]},"new":[]}`,
		`{"o\"l\\d":"\\","new":"a\"}","x":"\u0000\ud83d\ude00"}`, `{"":null,"é":-1.5e3,"t":true}`, `{"a":"\\\\","b":"[{\\\""}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, object string) {
		var want, got [][2]string
		if !members(object, func(key, raw string) bool { want = append(want, [2]string{key, raw}); return true }) || object[0] != '{' {
			return
		}
		passed(object, func(key, raw string) bool { got = append(got, [2]string{key, raw}); return true })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of %q (-want +got):\n%s", object, diff)
		}
	})
}
