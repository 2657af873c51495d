check "Java starts" "dpkg --status openjdk-17-jre-headless" java -version
