package pgtest

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// image is what initdb makes, kept for as long as the process of the tests runs:
// each further server is a copy of it, which takes a tenth of the time. The file
// has no name any more, so it goes with the process, however that ends.
type image struct {
	sync.Mutex
	file *os.File // a tar; nil before the first server
}

var theImage image

// unpack makes the data folder of a new server, which belongs to who, and adds to
// its settings.
func (m *image) unpack(bin, data string, who *syscall.Credential, settings string) error {
	m.Lock()
	defer m.Unlock()
	if m.file == nil {
		file, err := pack(bin, who)
		if err != nil {
			return fmt.Errorf("make the first data folder: %w", err)
		}
		m.file = file
	}
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(data, 0o700), give(data, who)); err != nil {
		return err
	}
	in := tar.NewReader(m.file)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		path := filepath.Join(data, h.Name)
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = write(path, in)
		}
		if err = errors.Join(err, give(path, who)); err != nil {
			return fmt.Errorf("copy the first data folder: %w", err)
		}
	}
	conf, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(settings)
	return errors.Join(err, conf.Close())
}

// pack runs initdb and returns its folder as a file without a name.
func pack(bin string, who *syscall.Credential) (file *os.File, err error) {
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := give(dir, who); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGKILL}
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", initdb, err, out)
	}
	file, err = os.CreateTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, err
	}
	out := tar.NewWriter(file)
	return file, errors.Join(out.AddFS(os.DirFS(data)), out.Close())
}

func write(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
