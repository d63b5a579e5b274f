package audit

import (
	"bytes"
	"crypto/sha256"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Diff returns the fields that differ between two states of an object: structs,
// maps with any keys, or pointers to them; nil is an object that is not there,
// so that Diff(nil, x) is a creation and Diff(x, nil) a deletion. The two need
// not be of one type. It returns nil where nothing differs.
//
// A field is named by its tag audit, or else json, db or gorm's column, or else
// as in Go. `audit:"-"` leaves it out, `audit:",mask"` or `audit:"mask"` hides
// its values: that it changed stays visible. Unexported fields, functions and
// channels are left out. A struct or map within has its own fields, as in
// "address.city"; embedded structs are as if their fields stood outside.
//
// Values are written as a reader of the audit trail wants them: times in UTC and
// RFC 3339, what has a text (fmt.Stringer, encoding.TextMarshaler, error) as that
// text, so that a related object is its name; what goes into a database
// (driver.Valuer) as it goes there; bytes that are no text as their length and
// hash. Nil and empty lists are equal.
//
// Within a program that has a Recorder, [Recorder.Diff] hides values so that
// equal ones look equal.
func Diff(before, after any) Changes {
	return diff(before, after, func(string) string { return Mask })
}

// Diff is the function Diff, with fingerprints in the masks.
func (r *Recorder) Diff(before, after any) Changes { return diff(before, after, r.masker.mask) }

func diff(before, after any, mask func(string) string) Changes {
	was, is := flatten(before), flatten(after)
	var changes Changes
	note := func(name string) {
		o, n := was[name], is[name]
		if reflect.DeepEqual(o.value, n.value) {
			return
		}
		if changes == nil {
			changes = Changes{}
		}
		secret := o.secret || n.secret
		changes[name] = Values{Old: hide(o.value, secret, mask), New: hide(n.value, secret, mask)}
	}
	for name := range was {
		note(name)
	}
	for name := range is {
		if _, both := was[name]; !both {
			note(name)
		}
	}
	return changes
}

func hide(value any, secret bool, mask func(string) string) any {
	if !secret || value == nil || value == "" {
		return value
	}
	if s, ok := value.(string); ok {
		return mask(s)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return Mask
	}
	return mask(string(text))
}

// maxNesting is how deep objects within objects are looked into.
const maxNesting = 12

// attribute is one field of an object, as a plain value.
type attribute struct {
	value  any
	secret bool
}

// flattener collects the attributes of one object.
type flattener struct {
	all     map[string]attribute
	visited map[visit]bool // what is on the way down, because objects refer to each other
}

func newFlattener() *flattener {
	return &flattener{all: map[string]attribute{}, visited: map[visit]bool{}}
}

// visit is a pointer, map or list by its place and type: a struct and its first
// field share the place.
type visit struct {
	at   uintptr
	what reflect.Type
}

// enter reports whether a pointer, map or list is not on the way down already, and puts it
// there.
func (f *flattener) enter(v reflect.Value) bool {
	at := visit{v.Pointer(), v.Type()}
	if f.visited[at] {
		return false
	}
	f.visited[at] = true
	return true
}

func (f *flattener) leave(v reflect.Value) { delete(f.visited, visit{v.Pointer(), v.Type()}) }

func flatten(object any) map[string]attribute {
	f := newFlattener()
	if v := reflect.ValueOf(object); v.IsValid() {
		f.object("", v, false, 0)
	}
	return f.all
}

// object collects what is within an object. It has a text for others, not here.
func (f *flattener) object(prefix string, v reflect.Value, secret bool, depth int) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		if v.Kind() == reflect.Pointer {
			if !f.enter(v) {
				return
			}
			defer f.leave(v)
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		f.structure(prefix, v, secret, depth)
	case reflect.Map:
		if !f.enter(v) {
			return
		}
		defer f.leave(v)
		for it := v.MapRange(); it.Next(); {
			f.field(prefix+f.keyText(it.Key()), it.Value(), secret, depth)
		}
	default:
		f.put(first(strings.TrimSuffix(prefix, "."), "value"), f.plain(v, 0), secret)
	}
}

func (f *flattener) structure(prefix string, v reflect.Value, secret bool, depth int) {
	var embedded []reflect.Value
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		name, mask, skip := fieldName(sf)
		if skip {
			continue
		}
		if sf.Anonymous && name == "" && isStruct(sf.Type) && !hasText(sf.Type) {
			embedded = append(embedded, v.Field(i))
			continue
		}
		if sf.IsExported() {
			f.field(prefix+first(name, sf.Name), v.Field(i), secret || mask, depth)
		}
	}
	for _, e := range embedded { // last, because what stands outside hides what is within
		if depth < maxNesting {
			f.object(prefix, e, secret, depth+1)
		}
	}
}

func (f *flattener) field(name string, v reflect.Value, secret bool, depth int) {
	in := v
	for range 2 * maxNesting { // of pointers and what they are kept in; some lead back to themselves
		if in.Kind() != reflect.Pointer && in.Kind() != reflect.Interface || in.IsNil() || hasText(in.Type()) {
			break
		}
		in = in.Elem()
	}
	switch in.Kind() {
	case reflect.Struct, reflect.Map:
		if !hasText(in.Type()) && depth < maxNesting {
			f.object(name+".", v, secret, depth+1)
			return
		}
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return
	}
	f.put(name, f.plain(v, depth), secret)
}

func (f *flattener) put(name string, value any, secret bool) {
	if _, taken := f.all[name]; !taken {
		f.all[name] = attribute{value, secret}
	}
}

// fieldName reads the tags of a field; the name is "" where they say none.
func fieldName(sf reflect.StructField) (name string, mask, skip bool) {
	if tag, ok := sf.Tag.Lookup("audit"); ok {
		words := strings.Split(tag, ",")
		name = words[0]
		if name == "-" {
			return "", false, true
		}
		if name == "mask" && len(words) == 1 {
			name, mask = "", true
		}
		for _, w := range words[1:] {
			mask = mask || strings.TrimSpace(w) == "mask"
		}
	}
	for _, key := range []string{"json", "db"} {
		if given, _, _ := strings.Cut(sf.Tag.Get(key), ","); name == "" && given != "-" {
			name = given
		}
	}
	for setting := range strings.SplitSeq(sf.Tag.Get("gorm"), ";") {
		if key, column, ok := strings.Cut(setting, ":"); ok && name == "" && strings.EqualFold(strings.TrimSpace(key), "column") {
			name = strings.TrimSpace(column)
		}
	}
	return name, mask, false
}

var (
	typeTime   = reflect.TypeFor[time.Time]()
	typeRaw    = reflect.TypeFor[json.RawMessage]()
	typeNumber = reflect.TypeFor[json.Number]()
	withText   = []reflect.Type{reflect.TypeFor[driver.Valuer](), reflect.TypeFor[error](), reflect.TypeFor[encoding.TextMarshaler](),
		reflect.TypeFor[fmt.Stringer](), reflect.TypeFor[json.Marshaler]()}
)

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// hasText reports whether values of a type say themselves how they are written.
func hasText(t reflect.Type) bool {
	switch {
	case t == typeTime || t == typeRaw || t == typeNumber:
		return true
	case t.Kind() == reflect.Interface: // what is in it knows
		return false
	case t.PkgPath() == "" && t.Name() != "": // the predeclared types have no methods
		return false
	}
	for _, i := range withText {
		if t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func (f *flattener) keyText(v reflect.Value) string {
	return fmt.Sprint(f.plain(v, 0))
}

// plain returns what encoding/json writes without fail, and what compares: nil,
// bool, int64, uint64, float64, json.Number, string, []any and map[string]any.
func plain(value any) any { return newFlattener().plain(reflect.ValueOf(value), 0) }

func (f *flattener) plain(v reflect.Value, depth int) any {
	if !v.IsValid() {
		return nil
	}
	if (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface || v.Kind() == reflect.Map) && v.IsNil() {
		return nil
	}
	if v.CanInterface() && hasText(v.Type()) {
		return f.ownText(v, depth)
	}
	if depth > maxNesting {
		return "…"
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := v.Uint(); n > math.MaxInt64 {
			return n
		}
		return int64(v.Uint()) // so that 1 is 1, whatever its type
	case reflect.Float32, reflect.Float64:
		x := v.Float()
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return strconv.FormatFloat(x, 'g', -1, 64)
		}
		if v.Kind() == reflect.Float32 { // 0.1 is not 0.10000000149011612
			x, _ = strconv.ParseFloat(strconv.FormatFloat(x, 'g', -1, 32), 64)
		}
		return x
	case reflect.String:
		return v.String()
	case reflect.Interface:
		return f.plain(v.Elem(), depth)
	case reflect.Pointer:
		if !f.enter(v) {
			return nil
		}
		defer f.leave(v)
		return f.plain(v.Elem(), depth)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytesText(v)
		}
		if v.Kind() == reflect.Slice && v.Len() > 0 {
			if !f.enter(v) {
				return nil
			}
			defer f.leave(v)
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = f.plain(v.Index(i), depth+1)
		}
		return list
	case reflect.Map, reflect.Struct:
		in := flattener{all: map[string]attribute{}, visited: f.visited}
		in.object("", v, false, depth+1)
		object := make(map[string]any, len(in.all))
		for name, a := range in.all {
			object[name] = hide(a.value, a.secret, func(string) string { return Mask })
		}
		return object
	case reflect.Complex64, reflect.Complex128:
		return fmt.Sprint(v.Complex())
	}
	return nil // functions, channels
}

func bytesText(v reflect.Value) any {
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	if utf8.Valid(b) && !bytes.ContainsRune(b, 0) {
		return string(b)
	}
	return fmt.Sprintf("%d bytes, SHA-256 %x", len(b), sha256.Sum256(b))
}

// ownText is a value as it says itself. What panics in there is said, too: the
// audit trail must not bring down what it records.
func (f *flattener) ownText(v reflect.Value, depth int) (text any) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("(%s panicked: %v)", v.Type(), p)
		}
	}()
	value := v.Interface()
	if t, ok := value.(time.Time); ok { // most of them, and looking at methods takes time
		return t.UTC().Format(time.RFC3339Nano)
	}
	if v.Kind() != reflect.Pointer && !implementsText(v.Type()) && reflect.PointerTo(v.Type()).NumMethod() > v.Type().NumMethod() {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		value = p.Interface()
	}
	switch x := value.(type) {
	case *time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case json.Number:
		if _, err := checkJSON(string(x)); err != nil {
			return string(x)
		}
		return x
	case driver.Valuer:
		in, err := x.Value()
		if err != nil {
			return "(" + err.Error() + ")"
		}
		if _, again := in.(driver.Valuer); again {
			return fmt.Sprint(in)
		}
		return f.plain(reflect.ValueOf(in), depth+1)
	case error:
		return x.Error()
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			return "(" + err.Error() + ")"
		}
		return string(b)
	case fmt.Stringer:
		return x.String()
	case json.Marshaler:
		raw, err := x.MarshalJSON()
		if err != nil {
			return "(" + err.Error() + ")"
		}
		return decodePlain(raw)
	}
	return fmt.Sprint(value)
}

func implementsText(t reflect.Type) bool {
	for _, i := range withText {
		if t.Implements(i) {
			return true
		}
	}
	return false
}

// decodePlain reads JSON with the digits of its numbers.
func decodePlain(raw []byte) any {
	if _, err := checkJSON(string(raw)); err != nil {
		return string(raw)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return string(raw)
	}
	return value
}
