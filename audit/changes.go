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
	all := []Change{}
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
		members(value, func(key, raw string) bool {
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
