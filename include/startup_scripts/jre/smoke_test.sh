# Runs on a throw-away machine that has booted the candidate.
is_java_17() { java -version 2>&1 | grep -F 'openjdk version "17.'; }
shares_classes() { java -Xshare:on -version; } # ends with an error if it cannot
no_compiler() { ! command -v javac; }

check "java is Java 17" "install.sh.j2" is_java_17
check "the classes of the runtime are in an archive" "ls -l /usr/lib/jvm/*/lib/server" shares_classes
check "the image has no compiler" "install.sh.j2" no_compiler
