package format

import (
	"reflect"
	"testing"
)

func TestFormats(t *testing.T) {
	if got, want := Readable(), []string{"ndjson", "sshd", "django", "cloudtrail", "accesslog"}; !reflect.DeepEqual(got, want) {
		t.Errorf("readable: got %q, want %q", got, want)
	}
	if got, want := Writable(), []string{"ndjson", "csv"}; !reflect.DeepEqual(got, want) {
		t.Errorf("writable: got %q, want %q", got, want)
	}
	for _, f := range Formats() {
		if f.Doc == "" || (f.read == nil) == (f.write == nil) && f.Name != "ndjson" || (f.write != nil) != (f.Media != "") {
			t.Errorf("the entry %q of the table is not whole", f.Name)
		}
	}
	if _, ok := Lookup("xml"); ok {
		t.Error("there is a format called xml")
	}
	if _, err := NewWriter("sshd", nil, "audit_log"); err == nil {
		t.Error("sshd can be written")
	}
}
