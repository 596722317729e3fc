<?php echo "hello from php-pages\n";
