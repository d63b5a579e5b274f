package templates

// Trace is a stack trace, made readable.
type Trace struct {
	Note   string // "3 frames of ours, 6 of libraries folded"
	Groups []FrameGroup
	Raw    string // as it was recorded
	Size   string // "as recorded, 2.1 KB"
}

// FrameGroup is frames that belong together: the ones of a library fold.
type FrameGroup struct {
	Fold   string // "6 frames in net/http and runtime"; "" does not fold
	Frames []Frame
}

// Frame is one line of a stack trace.
type Frame struct {
	Number   string // "1"; "" for a line that is not a frame, such as a cause
	Function string
	Source   string // internal/checkout/reserve.go:218
	Text     string // instead of both, for a line that is not a frame
	Ours     bool
}

// Resolution is what was decided about a system event.
type Resolution struct {
	Steps   []Step // oldest first
	Resolve *NoteForm
	Alike   *Link // those that are open too and say the same
	Reopen  *NoteForm
	Refusal string // why the reader may do neither: the rule
}

// Step is one decision.
type Step struct {
	Icon Icon
	Tone Tone
	Text []Span // "Resolved by ines.roth"
	Time Time
	Gap  string // "after 7 h 48 min"
	Note string // what was written down
}
