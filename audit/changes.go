package audit

// Change is one changed field of an audit log.
type Change struct {
	Field    string
	Old, New string // raw JSON; "" where it was not given
	HasOld   bool
	HasNew   bool
}

// ParseChanges reads the changes of an audit log, in their order. The form is
// {"field": {"old": …, "new": …}}, where either may be missing. A field with
// anything else, as in {"field": value}, has that as its new value. What is no
// valid JSON object has no changes: nil.
func ParseChanges(raw string) []Change {
	all := make([]Change, 0, 4)
	ok := members(raw, func(field, value string) bool {
		all = append(all, parseChange(field, value))
		return true
	})
	if !ok {
		return nil
	}
	return all
}

func parseChange(field, value string) Change {
	c := Change{Field: field}
	pair := value[0] == '{'
	if pair {
		passed(value, func(key, raw string) bool {
			switch key {
			case "old":
				c.Old, c.HasOld = raw, true
			case "new":
				c.New, c.HasNew = raw, true
			default:
				pair = false
			}
			return pair
		})
	}
	if !pair || !c.HasOld && !c.HasNew {
		return Change{Field: field, New: value, HasNew: true}
	}
	return c
}

// passed calls fn with the decoded key and the raw value of each member of an
// object that a scanner has passed, until fn returns false. It does not judge what
// it reads, and looks for nothing but where things end.
func passed(object string, fn func(key, raw string) bool) {
	i := afterSpace(object, 1)
	for object[i] == '"' {
		end := afterValue(object, i)
		key := text(object[i:end])
		i = afterSpace(object, afterSpace(object, end)+1) // behind the colon
		end = afterValue(object, i)
		if !fn(key, object[i:end]) {
			return
		}
		if i = afterSpace(object, end); object[i] == ',' {
			i = afterSpace(object, i+1)
		}
	}
}

func afterSpace(s string, i int) int {
	for s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r' {
		i++
	}
	return i
}

// afterValue returns where the value ends that begins at i, within an object.
func afterValue(s string, i int) int {
	for depth := 0; ; i++ {
		switch s[i] {
		case '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
}
