package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// reference decides by the words of the contract, with the standard library's
// parser, whether a line is an event. It shares nothing with DecodeEvent but the
// table of kinds.
func reference(line []byte, imported bool) bool {
	if !utf8.Valid(line) || !json.Valid(line) || loneSurrogate(string(line)) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	members := map[string]any{} // a json.Delim stands for what it opens
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return false
		}
		if _, twice := members[key.(string)]; twice {
			return false
		}
		value, ok := descend(d, 0)
		if !ok {
			return false
		}
		members[key.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		return false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return false
	}
	name, _ := members["kind"].(string)
	kind := Kind(name)
	if !kind.Valid() || len(members) > 33 {
		return false
	}
	fields := map[string]Field{}
	for _, f := range kind.Fields() {
		fields[f.Name] = f
	}
	for key, value := range members {
		f, isField := fields[key]
		switch {
		case key == "kind":
		case key == "event_id":
			if !isText(value) {
				return false
			}
		case imported && (key == "id" || key == "seq" || key == "recorded_at"):
		case imported && key == "source":
			if !isText(value) {
				return false
			}
		case !isField:
			return false
		case value == nil:
		case f.Type == JSON:
		case f.Type == Boolean:
			if _, ok := value.(bool); !ok {
				return false
			}
		case f.Type == Integer:
			n, isNumber := value.(json.Number)
			if !isText(value) && (!isNumber || strings.ContainsAny(n.String(), ".eE")) {
				return false
			}
		default:
			if !isText(value) {
				return false
			}
		}
	}
	for _, f := range kind.Fields() {
		value, there := members[f.Name]
		if !f.Required || there && value != nil && (value != "" || f.EmptyAllowed) {
			continue
		}
		id, _ := members["event_id"].(string)
		if f.Name != "timestamp" || imported || id != "" {
			return false
		}
	}
	return true
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok || value == nil
}

// descend reads one value and refuses repeated keys and more than 32 levels in it.
func descend(d *json.Decoder, depth int) (any, bool) {
	value, err := d.Token()
	if err != nil {
		return nil, false
	}
	open, nested := value.(json.Delim)
	if !nested {
		return value, true
	}
	if depth == 32 {
		return nil, false
	}
	keys := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil || keys[key.(string)] {
				return nil, false
			}
			keys[key.(string)] = true
		}
		if _, ok := descend(d, depth+1); !ok {
			return nil, false
		}
	}
	_, err = d.Token()
	return open, err == nil
}

// loneSurrogate reports whether an escape in a text of valid JSON is half of a
// pair, which encoding/json replaces in silence.
func loneSurrogate(text string) bool {
	high := false
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			if high {
				return true
			}
			continue
		}
		if text[i+1] != 'u' {
			if high {
				return true
			}
			i++
			continue
		}
		n, _ := strconv.ParseUint(text[i+2:i+6], 16, 32)
		switch {
		case n >= 0xdc00 && n < 0xe000:
			if !high {
				return true
			}
			high = false
		case high:
			return true
		default:
			high = n >= 0xd800 && n < 0xdc00
		}
		i += 5
	}
	return high
}

// differences are lines that parsers are known to read in two ways.
var differences = []string{
	exampleLine, `{}`, `{}{}`, `[]`, `null`, ``, ` `, exampleLine + exampleLine, exampleLine + ",", exampleLine + "\x00",
	`{"kind":"audit_log","action":"view","ACTION":"delete","aCtIon":"x"}`, `{"kind":"audit_log","action":"VIEW","action":"DELETE"}`, `{"kind":"audit_log","action":"VIEW","\u0061ction":"DELETE"}`,
	`{"kind":"audit_log","action":"VIEW","\u017fecret":1}`, `{"kind":"audit_log","action":"VIEW","ſource":"x"}`, `{"kind":"audit_log","action":"VIEW","PASSWORD":"x"}`, `{"Kind":"audit_log","action":"VIEW"}`,
	`{"kind":"audit_log","kind":"login_attempt","action":"VIEW"}`, `{"kind":"audit_log","action":"\ud83d"}`, `{"kind":"audit_log","action":"\ude00\ud83d"}`, `{"kind":"audit_log","action":"VIEW","reason":"\ud83d\ude00"}`,
	`{"kind":"audit_log","action":"VIEW","metadata":{"a":1,"a":2}}`, `{"kind":"audit_log","action":"VIEW","metadata":{"a":{"b":1},"a":{"c":1}}}`, `{"kind":"audit_log","action":"VIEW","metadata":[1e999,-0,0.10,1E+2]}`,
	`{"kind":"audit_log","action":"VIEW","metadata":01}`, `{"kind":"audit_log","action":"VIEW","metadata":+1}`, `{"kind":"audit_log","action":"VIEW","metadata":NaN}`, `{"kind":"audit_log","action":"VIEW","metadata":.5}`, `{"kind":"audit_log","action":'VIEW'}`,
	`{"kind":"audit_log","action":"VIEW",}`, `{"kind":"audit_log","action":"VIEW"/* */}`, `{"kind":"audit_log","action":"a` + "\tb" + `"}`, `{"kind":"audit_log","action":"a` + "\xff" + `"}`, "\xef\xbb\xbf" + exampleLine,
	`{"kind":"audit_log","action":"VIEW","reason":"\u0000"}`, `{"kind":"audit_log","action":"VIEW","reason":"\x00"}`, `{"kind":"audit_log","action":"VIEW","__proto__":{"a":1}}`, `{"kind":"audit_log","action":null}`, `{"kind":"audit_log","action":""}`,
	`{"kind":"login_attempt","username":"","status":"FAILED"}`, `{"kind":"login_attempt","username":null,"status":"FAILED"}`, `{"kind":"data_export","export_type":"x","record_count":"12"}`, `{"kind":"data_export","export_type":"x","record_count":1.0}`, `{"kind":"system_event","event_type":"INFO","title":"x","resolved":"true"}`,
	`{"kind":"audit_log","action":"VIEW","event_id":"x"}`, `{"kind":"audit_log","action":"VIEW","event_id":7}`, `{"kind":"audit_log","action":"VIEW","id":"1","seq":1,"recorded_at":null,"source":"x"}`,
	`{"kind":"audit_log","action":"VIEW","metadata":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, `{"kind":"audit_log","action":"VIEW","metadata":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, `{"kind":"audit_log","action":"VIEW","metadata":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + `}`,
	`{"kind":"audit_log","action":"VIEW","reason":"\/\b\u00e9\"\\"}`, `{"kind":"audit_log","action":"VIEW","reason":"\a"}`, `{"kind":"audit_log","action":"VIEW","reason":"\u12"}`, `{"kind":"audit_log","action":"VIEW","constructor":1}`,
}

// TestT11_DecoderAgreesWithTheReference compares which lines are taken.
//
// ASVS:V1.1.1 ASVS:V1.5.2 ASVS:V2.2.1 ASVS:V15.3.3 ASVS:V15.3.5 ASVS:V15.3.6
func TestT11_DecoderAgreesWithTheReference(t *testing.T) {
	taken := 0
	for _, line := range differences {
		for _, imported := range []bool{false, true} {
			_, err := DecodeEvent([]byte(line), DecodeOptions{Import: imported})
			if want := reference([]byte(line), imported); (err == nil) != want {
				t.Errorf("%q, imported %v: got %v, the reference says %v", line, imported, err, want)
			} else if want {
				taken++
			}
		}
	}
	if taken < 5 || taken > len(differences) {
		t.Errorf("%d lines of %d are taken", taken, 2*len(differences))
	}
}

// FuzzIngest holds that the decoder of events takes exactly the lines that an
// independent one takes.
func FuzzIngest(f *testing.F) {
	for _, line := range differences {
		f.Add([]byte(line), false)
		f.Add([]byte(line), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, imported bool) {
		_, err := DecodeEvent(line, DecodeOptions{Import: imported})
		if want := reference(line, imported); (err == nil) != want {
			t.Errorf("%q, imported %v: got %v, the reference says %v", line, imported, err, want)
		}
	})
}
