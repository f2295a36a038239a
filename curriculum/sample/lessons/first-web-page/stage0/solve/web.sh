cd ~/www
sed -i 's/Hello!/Hello, I am Ada!/' index.html
echo '<!doctype html><title>About me</title><h1>About me</h1>' > about.html
sed -i 's|</body>|  <p><a href="about.html">About me</a></p>\n  </body>|' index.html
