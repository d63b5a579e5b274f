//go:build linux

package torture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/auditadmin/auditadmin/internal/need"
)

// workshop is what the tests share: what each of them needs is built once, and
// what each of them found is printed together.
type workshop struct {
	dir      string
	scale    float64 // 0 for the quick form, 1 for the figures of the plan
	seed     uint64
	program  func() (string, error)
	careless func() (string, error)
	shim     func() (string, error)
	spooler  func() (string, error)

	mutex sync.Mutex
	found []finding
}

var shop *workshop // set by TestMain alone

// TestMain builds nothing itself: what a test asks for first is built then.
//
// AUDITADMIN_TORTURE asks for the long form: 1 for the figures of the plan, any
// other number for so many times as much. AUDITADMIN_TORTURE_SEED chooses other
// cuts, kills and bodies than the usual ones.
func TestMain(m *testing.M) {
	if small := os.Getenv(smallDisk); small != "" {
		if err := mountSmall(small); err != nil {
			fmt.Fprintln(os.Stderr, noSmallDisk, err)
			os.Exit(0)
		}
	}
	dir, err := os.MkdirTemp("", "auditadmin-torture")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shop = &workshop{dir: dir, seed: 1}
	if text := os.Getenv("AUDITADMIN_TORTURE"); text != "" {
		if shop.scale, err = strconv.ParseFloat(text, 64); err != nil || shop.scale <= 0 {
			shop.scale = 1
		}
	}
	if seed, err := strconv.ParseUint(os.Getenv("AUDITADMIN_TORTURE_SEED"), 10, 64); err == nil {
		shop.seed = seed
	}
	shop.program = sync.OnceValues(func() (string, error) {
		if path := os.Getenv(builtProgram); path != "" {
			return path, nil
		}
		return goBuild(filepath.Join(dir, "auditadmin"))
	})
	shop.careless = sync.OnceValues(func() (string, error) { return buildCareless(dir) })
	shop.shim = sync.OnceValues(func() (string, error) { return buildShim(dir) })
	shop.spooler = sync.OnceValues(func() (string, error) { return buildSpooler(dir) })
	code := m.Run()
	if os.Getenv(smallDisk) == "" {
		shop.print()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// size is how often something is done: quick times in `make test`, long times in
// `make torture`.
func size(quick, long int) int {
	if shop.scale == 0 {
		return quick
	}
	return max(quick, int(float64(long)*shop.scale))
}

// beside lets a test of the long form run while another one does, since most of
// them wait longer than they work. What is measured then is measured on a machine
// that is busy.
func beside(t *testing.T) {
	if shop.scale > 0 {
		t.Parallel()
	}
}

// spread calls do with every number below n, on all cores at the same time. A
// call that ends its goroutine ends no other.
func spread(n int, do func(i int)) {
	var next atomic.Int64
	var work sync.WaitGroup
	for range runtime.NumCPU() {
		work.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	work.Wait()
}

// random returns a source of its own for each use, the same in every run.
func random(t testing.TB, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(shop.seed, stream))
}

func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func goBuild(to string, flags ...string) (string, error) {
	cmd := exec.Command("go", append(append([]string{"build", "-tags", "sqlite_fts5", "-o", to}, flags...), "./cmd/auditadmin")...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return to, nil
}

// buildCareless builds the program as it would be with the settings that the
// driver has by itself: it does not wait for the disk at every commit. What is
// not found with it would not be found at all.
func buildCareless(dir string) (string, error) {
	source := filepath.Join(root(), "internal", "db", "sqlite.go")
	careless, err := carelessly(source)
	if err != nil {
		return "", err
	}
	file, overlay := filepath.Join(dir, "careless.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, []byte(careless), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, fmt.Appendf(nil, `{"Replace":{%q:%q}}`, source, file), 0o600); err != nil {
		return "", err
	}
	return goBuild(filepath.Join(dir, "auditadmin-careless"), "-overlay", overlay)
}

// carelessly is the source that says how a commit waits for the disk, where it says
// so no more: the setting, and what the program then demands to find.
func carelessly(source string) (string, error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	careless := string(text)
	for full, normal := range map[string]string{
		`"_synchronous": {"FULL"}`:      `"_synchronous": {"NORMAL"}`,
		`maps.Clone(sqliteWriter), "2"`: `maps.Clone(sqliteWriter), "1"`,
	} {
		if strings.Count(careless, full) != 1 {
			return "", fmt.Errorf("%s no longer says %s once, which the control replaces", source, full)
		}
		careless = strings.Replace(careless, full, normal, 1)
	}
	return careless, nil
}

func buildShim(dir string) (string, error) {
	to := filepath.Join(dir, "shim.so")
	out, err := exec.Command("gcc", "-O2", "-Wall", "-fPIC", "-shared", "-o", to,
		filepath.Join(root(), "internal", "torture", "testdata", "shim.c"), "-lpthread").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the shim: %w\n%s", err, out)
	}
	return to, nil
}

func theProgram(t testing.TB) string { return built(t, shop.program) }

func theShim(t testing.TB) string {
	if runtime.GOOS != "linux" {
		need.Skip(t, "recording what reaches the disk works on Linux alone")
	}
	need.Program(t, "apt-get install gcc", "gcc")
	return built(t, shop.shim)
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fast returns a folder in memory where there is one: what the tests call a disk
// there is made by themselves.
func fast(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "auditadmin-torture")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// finding is one line of the table.
type finding struct {
	Fault                  string // R2
	What                   string
	Times                  int
	Lost, Phantom, Doubled int
	Wrong                  int // whatever else must not be
	Took                   time.Duration
	Note                   string
}

// report puts a line into the table. A control is a run that has to fail; its
// line says that it did.
func report(t testing.TB, f finding) {
	t.Helper()
	t.Logf("%s %s: %d times, %d lost, %d phantom, %d doubled, %d wrong; %s", f.Fault, f.What, f.Times, f.Lost, f.Phantom, f.Doubled, f.Wrong, f.Note)
	shop.mutex.Lock()
	defer shop.mutex.Unlock()
	shop.found = append(shop.found, f)
	if os.Getenv(smallDisk) != "" { // the test outside puts it into its table
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(findingLine + string(text))
	}
}

// judge reports a line and fails the test where anything was found.
func judge(t testing.TB, f finding) {
	t.Helper()
	report(t, f)
	if f.Lost != 0 || f.Phantom != 0 || f.Doubled != 0 || f.Wrong != 0 {
		t.Errorf("%s %s, %d times: got %d lost, %d phantom, %d doubled, %d wrong, want none (seed %d)",
			f.Fault, f.What, f.Times, f.Lost, f.Phantom, f.Doubled, f.Wrong, shop.seed)
	}
}

func (w *workshop) print() {
	if w.scale == 0 || len(w.found) == 0 {
		return
	}
	number := func(f finding) int { n, _ := strconv.Atoi(strings.TrimPrefix(f.Fault, "R")); return n }
	slices.SortStableFunc(w.found, func(a, b finding) int { return number(a) - number(b) })
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nseed %d, scale %g\n\nfault\twhat\ttimes\tlost\tphantom\tdoubled\twrong\tseconds\t\n", w.seed, w.scale)
	for _, f := range w.found {
		fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.0f\t%s\n", f.Fault, f.What, f.Times, f.Lost, f.Phantom, f.Doubled, f.Wrong, f.Took.Seconds(), f.Note)
	}
	out.Flush()
}
