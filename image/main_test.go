package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

func arguments(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{
		"--output", filepath.Join(t.TempDir(), "layout"), "--version", "0.1.0", "--created", "1000000000",
		"--certificates", write(t, "ca.pem", "authorities"),
		"--binary", "linux/amd64=" + write(t, "amd64", "a program"),
		"--binary", "linux/arm64=" + write(t, "arm64", "another program"),
	}, more...)
}

func made(t *testing.T, arguments []string) (v1.ImageIndex, string) {
	t.Helper()
	var said bytes.Buffer
	if err := run(t.Context(), arguments, &said); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(arguments[1])
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := index.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		inner = index
	}
	return inner, said.String()
}

func images(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]v1.Image{}
	for _, descriptor := range manifest.Manifests {
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		found[descriptor.Platform.String()] = image
	}
	return found
}

func TestEachPlatformHasItsOwnProgramAndNothingRunsAsRoot(t *testing.T) {
	index, said := made(t, arguments(t))
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	found := images(t, index)
	for platform, program := range map[string]string{"linux/amd64": "a program", "linux/arm64": "another program"} {
		image := found[platform]
		if image == nil {
			t.Fatalf("no %s in %v", platform, found)
		}
		if !strings.Contains(said, platform) {
			t.Errorf("%s is not told: %s", platform, said)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/private-genai-operator" {
			t.Errorf("%+v", config.Config)
		}
		if config.OS+"/"+config.Architecture != platform {
			t.Errorf("%s/%s is not %s", config.OS, config.Architecture, platform)
		}
		content := files(t, image)
		if content["private-genai-operator"] != program || content["etc/ssl/certs/ca-certificates.crt"] != "authorities" {
			t.Errorf("%v", content)
		}
	}
}

func files(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	reader := tar.NewReader(mutate.Extract(image))
	found := map[string]string{}
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(content)
		if header.Uid != 0 || header.FileInfo().Mode().Perm()&0o022 != 0 {
			t.Errorf("%s may be written by others than root: %+v", header.Name, header)
		}
	}
}

func TestTheSameInputsMakeTheSameDigest(t *testing.T) {
	first, _ := made(t, arguments(t))
	second, _ := made(t, arguments(t))
	one, err := first.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := second.Digest(); err != nil || one != other {
		t.Errorf("%s and %s, %v", one, other, err)
	}
}

func TestWhatIsPushedIsWhatIsInTheLayout(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	to := strings.TrimPrefix(server.URL, "http://") + "/operator:0.1.0"
	index, said := made(t, arguments(t, "--push", to))
	reference, err := name.ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(pushed); err != nil {
		t.Error(err)
	}
	one, _ := index.Digest()
	if other, err := pushed.Digest(); err != nil || one != other {
		t.Errorf("%s and %s, %v", one, other, err)
	}
	if !regexp.MustCompile(`(?m)^index .* ` + one.String() + `$`).MatchString(said) {
		t.Errorf("%s, by which it is pulled and attested, is not told: %s", one, said)
	}
}

func TestTheRepositoryIsNamedWhereItIsKnown(t *testing.T) {
	const source = "https://github.com/example/private-genai-operator"
	for _, more := range [][]string{nil, {"--source", source}} {
		index, _ := made(t, arguments(t, more...))
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		named, found := manifest.Annotations["org.opencontainers.image.source"]
		if found != (more != nil) || found && named != source {
			t.Errorf("%v: %q", more, named)
		}
	}
}

func TestAProgramThatNeedsALoaderIsRefused(t *testing.T) {
	dynamic := write(t, "dynamic", "\x7fELF /lib64/ld-linux-x86-64.so.2")
	err := run(t.Context(), arguments(t, "--binary", "linux/amd64="+dynamic), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "linked dynamically") {
		t.Errorf("%v", err)
	}
}
