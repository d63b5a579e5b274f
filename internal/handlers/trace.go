package handlers

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/auditadmin/auditadmin/web/templates"
)

// Forms of a frame in a stack trace. What none of them knows is shown as it is.
var frameForms = []struct {
	form           *regexp.Regexp
	function, file int // which of its groups they are
	line           int // 0 where the file has its line
}{
	{pythonFrame, 3, 1, 2},
	{nodeFrame, 1, 2, 0},
	{javaFrame, 1, 2, 0},
	{phpFrame, 3, 1, 2},
	{rubyFrame, 2, 1, 0},
}

var (
	pythonFrame = regexp.MustCompile(`^\s*File "([^"]+)", line (\d+)(?:, in (.+))?$`)
	javaFrame   = regexp.MustCompile(`^\s*at ([\w$.<>/]+)\(([^)]*)\)\s*$`)
	nodeFrame   = regexp.MustCompile(`^\s*at (?:(?:async )?(.+?) \()?((?:file://|/|node:|[A-Za-z]:\\|https?://|webpack)[^()]*:\d+(?::\d+)?)\)?\s*$`)
	goFile      = regexp.MustCompile(`^\s+(\S+\.(?:go|s):\d+)(?: \+0x[0-9a-f]+)?$`)
	goCall      = regexp.MustCompile(`^(\S.*)\(.*\)$`)
	phpFrame    = regexp.MustCompile(`^#\d+ (\S+)\((\d+)\): (.+)$`)
	rubyFrame   = regexp.MustCompile("^\\s*(?:from )?(\\S+\\.rb:\\d+):in [`'](.+)'$")
)

// foreign are the marks of files that belong to a library or the language.
var foreign = []string{
	"site-packages/", "dist-packages/", "/lib/python", "/usr/lib/", "node_modules/", "node:", "/vendor/", "/gems/",
	"/pkg/mod/", "/usr/local/go/src/", "/src/runtime/", "/src/net/http/", "/lib/ruby/", "<frozen ", "internal/process/", "webpack/bootstrap",
}

// foreignCalls are the marks of functions that do.
var foreignCalls = []string{"java.", "javax.", "jdk.", "sun.", "org.springframework.", "org.apache.", "org.hibernate.", "org.postgresql.", "com.mysql.", "io.netty.", "com.sun.", "kotlin.",
	"runtime.", "net/http.", "runtime/debug.", "testing.", "created by runtime"}

// traceLimit bounds the lines that are taken apart; the rest is in the raw text.
const traceLimit = 400

// trace makes a stack trace readable: the frames of libraries fold.
func trace(raw string) *templates.Trace {
	if strings.TrimSpace(raw) == "" {
		return nil
	}
	m := &templates.Trace{Raw: raw, Size: "as recorded, " + size(int64(len(raw)))}
	frames := framesOf(raw)
	ours, folded, place := 0, 0, 0
	for _, f := range frames {
		if f.Text == "" {
			place++
			f.Number = strconv.Itoa(place)
		}
		last := len(m.Groups) - 1
		fold := f.Text == "" && !f.Ours
		switch {
		case fold:
			folded++
		case f.Ours:
			ours++
		}
		if last >= 0 && (m.Groups[last].Fold != "") == fold {
			m.Groups[last].Frames = append(m.Groups[last].Frames, f)
			continue
		}
		g := templates.FrameGroup{Frames: []templates.Frame{f}}
		if fold {
			g.Fold = "libraries" // said in full below
		}
		m.Groups = append(m.Groups, g)
	}
	if ours+folded == 0 {
		m.Groups = nil
		return m
	}
	if ours == 0 {
		// Nothing to fold away from: all of it is what there is to see.
		for i := range m.Groups {
			m.Groups[i].Fold = ""
		}
		m.Note = plural(int64(folded), "frame")
		return m
	}
	for i, g := range m.Groups {
		if g.Fold != "" {
			m.Groups[i].Fold = plural(int64(len(g.Frames)), "frame") + " of libraries"
		}
	}
	m.Note = plural(int64(ours), "frame") + " of ours"
	if folded > 0 {
		m.Note += ", " + number(int64(folded)) + " of libraries folded"
	}
	return m
}

// frameIn finds a frame that stands on one line, and returns its form, nil if there is
// none.
func frameIn(line string) (form *regexp.Regexp, function, source string) {
	for _, f := range frameForms {
		m := f.form.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		source = m[f.file]
		if f.line > 0 {
			source += ":" + m[f.line]
		}
		return f.form, m[f.function], source
	}
	return nil, "", ""
}

// framesOf reads the lines of a stack trace. A line that belongs to the frame
// before it, such as the source text in Python, is left to the raw text.
func framesOf(raw string) []templates.Frame {
	var frames []templates.Frame
	call := "" // of Go: the function stands on the line before its file
	lines := strings.Split(strings.ReplaceAll(raw, "\r\n", "\n"), "\n")
	if len(lines) > traceLimit {
		lines = lines[:traceLimit]
	}
	add := func(function, source string) {
		function, source = strings.TrimSpace(function), strings.TrimSpace(source)
		ours := true
		for _, mark := range foreign {
			ours = ours && !strings.Contains(source, mark)
		}
		for _, mark := range foreignCalls {
			ours = ours && !strings.HasPrefix(function, mark)
		}
		frames = append(frames, templates.Frame{Function: function, Source: source, Ours: ours})
	}
	inPython := false
	for _, line := range lines {
		if len(line) > 2000 {
			continue
		}
		if m := goFile.FindStringSubmatch(line); m != nil {
			add(call, m[1])
			call = ""
			continue
		}
		if form, function, source := frameIn(line); form != nil {
			add(function, source)
			inPython = inPython || form == pythonFrame
			continue
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			continue
		case inPython && (strings.HasPrefix(line, "    ") || strings.Trim(text, "^~ ") == ""):
			continue // the source text of the frame above
		}
		if m := goCall.FindStringSubmatch(line); m != nil {
			call = m[1]
			continue
		}
		if strings.HasPrefix(text, "created by ") {
			call = text
			continue
		}
		frames = append(frames, templates.Frame{Text: cut(text, 400)})
	}
	return frames
}
