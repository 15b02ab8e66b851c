# The image for this machine, and for x86-64 and arm64 into a registry, both at the root of the repository:
#
#   docker buildx bake --file deploy/docker-bake.hcl --load
#   IMAGE=registry.example.com/gateway docker buildx bake --file deploy/docker-bake.hcl release

variable "IMAGE" {
  default = "gateway"
}

variable "VERSION" {
  default = "0.1.0"
}

# The commit, and the address of the repository that has it.
variable "REVISION" {
  default = ""
}

variable "SOURCE" {
  default = ""
}

group "default" {
  targets = ["gateway"]
}

target "gateway" {
  context    = "."
  dockerfile = "Dockerfile"
  tags       = ["${IMAGE}:${VERSION}"]
  labels = {
    "org.opencontainers.image.title"    = "gateway"
    "org.opencontainers.image.version"  = VERSION
    "org.opencontainers.image.licenses" = "Apache-2.0"
    "org.opencontainers.image.revision" = REVISION
    "org.opencontainers.image.source"   = SOURCE
  }
}

target "release" {
  inherits  = ["gateway"]
  platforms = ["linux/amd64", "linux/arm64"]
  output    = ["type=registry"]
  # How it was built, and what is in it: both are kept beside the image.
  attest = ["type=provenance,mode=max", "type=sbom"]
}
